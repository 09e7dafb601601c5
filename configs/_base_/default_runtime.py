default_scope = 'mmdet'
custom_imports = dict(imports=['bafenet'], allow_failed_imports=False)
runner_type = 'DetectionRunner'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    runtime_info=dict(type='EffectiveLRHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    progress=dict(type='TestProgressHook'),
    finite=dict(type='FiniteHook'),
    training_images=dict(type='TrainingImagesHook', allow=False),
    settings=dict(type='SettingsHook'),
    annotations=dict(type='AnnotationsHook'),
    strides=dict(type='StridesHook'),
    memory_format=dict(type='MemoryFormatHook', memory_format='channels_last'),
    fuse=dict(type='FuseHook', enabled=True),
    visualization=dict(type='DetVisualizationHook'))
# So that several processes validate with the same BatchNorm statistics.
custom_hooks = [dict(type='SyncBuffersHook')]

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
randomness = dict(seed=0)

vis_backends = [dict(type='LocalVisBackend')]
# Without a name it takes the run's, so that two runs of one process write to their own folders.
visualizer = dict(type='SkyLocalVisualizer', vis_backends=vis_backends)
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
log_level = 'INFO'
load_from = None
resume = False
