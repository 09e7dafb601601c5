"""Which values the settings of a config may have: by the dotted key, and by class and argument."""
import math
import re
from collections.abc import Iterable
from functools import cache, lru_cache

from mmdet.registry import OPTIM_WRAPPER_CONSTRUCTORS, RUNNERS
from mmengine.runner import Priority

from bafenet.arguments import MAX_WORKERS
from bafenet.models.score_calibration import WORDS, fault_of
from bafenet.models.small_target_head import ASSIGNERS, BOX_CODINGS, QUALITIES

from .config_kinds import (
    CHANNELS,
    COUNT,
    FACTOR,
    FINITE,
    FLAG,
    INDEX,
    MAX_SIDE,
    NAMES,
    NETWORK,
    NONE,
    PART,
    PARTS,
    POSITIVE,
    SEED,
    SETTINGS,
    SHARE,
    SIZE,
    TEMPLATE,
    TEXT,
    Allowed,
    choice,
    either,
    is_number,
    list_of,
    named,
    number,
    range_of,
    whole,
)

# Every n-th channel or column is exchanged (models/exchange.py).
_EVERY_NTH = Allowed('1 over a whole number: 1, 0.5, 0.25 …', lambda value: is_number(value) and value > 1e-6
                     and abs(round(1 / value) * value - 1) <= 1e-6, 0.5)
_NUMBERS = list_of(number(-MAX_SIDE, MAX_SIDE), 3)
_PICTURE = {'insets': whole(0, 100), 'side': whole(64, MAX_SIDE)}
_LEVEL = Allowed('two sizes (low, high), low below high', list_of(number(-1), 2, True).test, (-1, 64))

# Arguments of a class, by its name or a parent's: rules that hold wherever the class stands.
BY_CLASS: dict[str, dict[str, Allowed]] = {
    # Data
    'BaseDataset': {
        **named('data_root ann_file', either(TEXT, NONE)),
        **named('test_mode lazy_init serialize_data', FLAG),
        'indices': either(COUNT, list_of(INDEX), NONE), 'max_refetch': INDEX, 'pipeline': PARTS,
        'metainfo': either(SETTINGS, TEXT, NONE), 'filter_cfg': either(SETTINGS, NONE),
    },
    'DenseSIRSTDataset': {'box_origin': choice(0, 1), 'only_with_targets': FLAG, 'data_prefix': either(SETTINGS, NONE),
                          **named('img_suffix seg_map_suffix target_mask_suffix', either(TEXT, NONE)),
                          'sky': choice('required', 'optional', 'none')},
    'SIRSTSegDataset': {**named('with_boxes held_out', FLAG), 'holdout': INDEX, 'holdout_seed': whole(0, 2**32 - 1),
                        'data_prefix': either(SETTINGS, NONE)},
    'ConcatDataset': {'datasets': list_of(PART)},
    'RepeatDataset': {'dataset': PART, 'times': COUNT, 'lazy_init': FLAG},
    'ClassBalancedDataset': {'dataset': PART, 'oversample_thr': SHARE, 'lazy_init': FLAG},
    'MultiImageMixDataset': {'dataset': PART, 'pipeline': PARTS, 'max_refetch': COUNT, 'lazy_init': FLAG},
    'SeededVisits': {'dataset': PART},
    'DefaultSampler': {**named('shuffle round_up', FLAG), 'seed': SEED},
    'EpochSampler': {'repeats': number(0, 1000, above=True)},
    'Resize': {'scale': either(SIZE, NONE), **named('keep_ratio clip_object_border', FLAG),
               'scale_factor': either(POSITIVE, list_of(POSITIVE, 2), NONE)},
    'RandomFlip': {'prob': either(SHARE, list_of(SHARE), NONE)},
    'LoadInfraredImage': {'cache_mb': FACTOR},
    'LoadSkyAnnotations': {'cache_mb': FACTOR},
    'LoadTargetMask': {'cache_mb': FACTOR, 'optional': FLAG},
    'RandomTranspose': {'prob': SHARE},
    'BalancedCrop': {'size': SIZE, 'late_size': either(SIZE, NONE), 'late_epoch': either(INDEX, NONE),
                     **named('target_prob other_prob hard_prob min_visible', SHARE)},
    'BAGCopyPaste': {
        **named('prob visible_share lone_prob', SHARE), **named('clustered gaussian truncate_boxes', FLAG),
        **named('region_size max_target_size max_scaled_size', whole(1, MAX_SIDE)), 'max_gt': either(INDEX, NONE),
        **named('num_clusters targets_per_cluster spacing num_lone', range_of(INDEX)), 'lone_spacing': INDEX,
        'target_scale': range_of(POSITIVE), 'brightness': range_of(FACTOR),
        'sigma': range_of(POSITIVE), **named('offset rotation', range_of(FINITE)), 'background': choice('sky', 'any'),
    },
    'IntensityJitter': {
        **named('gain gamma', range_of(number(0.1, 10))), 'offset': range_of(number(-255, 255)),
        'noise': range_of(number(0, 100)), 'blur': range_of(number(0, 5)),
        **named('gain_prob offset_prob gamma_prob noise_prob blur_prob keep_contrast noise_share', SHARE),
    },
    'NoiseDisplacement': {**named('alpha prob', SHARE), 'window': whole(2, 1024), 'max_variance': POSITIVE,
                          'min_mean': FACTOR, 'max_mean': either(POSITIVE, NONE), 'per_frame': COUNT},
    'NegativeAugmentation': {'size': whole(2, 1024), 'prob': SHARE, 'rotate_label': FLAG},
    'PackDetInputs': {'meta_keys': list_of(TEXT, empty=True)},
    # Networks
    'ImgDataPreprocessor': {
        'mean': either(_NUMBERS, NONE), 'std': either(list_of(POSITIVE, 3), NONE), 'pad_size_divisor': whole(1, 1024),
        'pad_value': FINITE, **named('bgr_to_rgb rgb_to_bgr non_blocking', FLAG),
    },
    'DetDataPreprocessor': {**named('pad_mask pad_seg boxtype2tensor', FLAG),
                            **named('mask_pad_value seg_pad_value', whole(0, 255))},
    'ResNet': {
        **named('num_stages', whole(1, 4)), **named('in_channels base_channels', CHANNELS),
        'stem_channels': either(CHANNELS, NONE), 'frozen_stages': whole(-1, 4), 'style': choice('pytorch', 'caffe'),
        **named('strides dilations', list_of(COUNT)), 'out_indices': list_of(whole(0, 3), ascending=True),
        **named('norm_eval deep_stem avg_down with_cp zero_init_residual', FLAG), 'pretrained': either(TEXT, NONE),
        'dcn': either(PART, NONE), 'plugins': either(list_of(SETTINGS), NONE), 'stage_with_dcn': list_of(FLAG),
    },
    'CompactResNet': {
        'stage_channels': list_of(CHANNELS), 'stage_blocks': list_of(whole(1, 100)),
        'dilations': list_of(whole(1, 100)),
        'out_indices': either(list_of(INDEX, ascending=True), NONE), 'stem_kernel': whole(2, 31),
        'stem_channels': either(CHANNELS, NONE), 'in_channels': CHANNELS,
    },
    'FPN': {
        'in_channels': list_of(CHANNELS), 'out_channels': CHANNELS, 'num_outs': whole(1, 16),
        'start_level': whole(0, 16), 'end_level': whole(-1, 16),
        'add_extra_convs': either(FLAG, choice('on_input', 'on_lateral', 'on_output')),
        **named('relu_before_extra_convs no_norm_on_lateral', FLAG),
    },
    'AnchorFreeHead': {
        'num_classes': whole(1, 10000), **named('in_channels feat_channels', CHANNELS),
        'stacked_convs': whole(0, 64), 'strides': list_of(whole(1, 1024)), 'dcn_on_last_conv': FLAG,
        'conv_bias': either(FLAG, choice('auto')),
    },
    'FCOSHead': {'regress_ranges': list_of(_LEVEL), 'center_sample_radius': POSITIVE,
                 **named('center_sampling norm_on_bbox centerness_on_reg', FLAG)},
    'SmallTargetHead': {'box_coding': choice(*BOX_CODINGS), 'quality': choice(*QUALITIES),
                        'side_knots': list_of(FACTOR, ascending=True), 'assign': either(choice(*ASSIGNERS), PART),
                        'loss_sides': PART},
    'BAFEHead': {**named('with_seg bottleneck with_mask', FLAG), 'refine': either(NETWORK, PART, NONE),
                 'exchange': either(PART, NONE), 'bottleneck_norm_cfg': PART, 'loss_seg': PART,
                 'loss_mask': either(PART, list_of(PART))},
    '_Exchange': {'ratio': number(0, 1, above=True), 'adapter': either(PART, NONE), 'shared_adapter': FLAG},
    '_AlternateExchange': {'ratio': _EVERY_NTH},
    'DynamicChannelExchange': {'gate': choice('straight_through', 'index')},
    'SequentialExchange': {'exchanges': list_of(PART)},
    'MLPAdapter': {'hidden_channels': CHANNELS, **named('mix_channels residual', FLAG)},
    'InsideAssigner': {'center_radius': either(POSITIVE, NONE)},
    'NearestAssigner': {'topk': whole(1, 1000)},
    'ReceptiveFieldAssigner': {'topk': whole(1, 1000), 'radius': POSITIVE, 'distance': choice('kl', 'wasserstein')},
    'SimOTAAssigner': {**named('center_radius', POSITIVE), 'candidate_topk': COUNT,
                       **named('iou_weight cls_weight', FACTOR)},
    'FocalLoss': {'gamma': FACTOR, 'alpha': SHARE, **named('use_sigmoid activated', FLAG)},
    'CrossEntropyLoss': {**named('use_sigmoid use_mask avg_non_ignore', FLAG),
                         'ignore_index': either(whole(-255, 255), NONE)},
    'NormalisedWassersteinLoss': {'constant': POSITIVE},
    'NormalisedWassersteinSimilarity': {'constant': POSITIVE},
    'TargetSegmentor': {'loss_mask': either(PART, list_of(PART)), 'output_weights': either(list_of(FACTOR), NONE)},
    'NestedUNet': {'depth': choice(34, 18, 10), **named('attention nested', FLAG), 'in_channels': choice(1, 3)},
    'AdditiveUNet': {'widths': list_of(CHANNELS), 'blocks': list_of(whole(1, 100)), 'in_channels': choice(1, 3),
                     'deep_supervision': FLAG},
    'SoftIoULoss': {'smooth': POSITIVE, 'reduction': choice('batch', 'mean', 'none')},
    'NegativeSetLoss': {'reduction': choice('mean', 'descent'), 'weights': either(list_of(FACTOR), NONE)},
    # Runs
    'CheckpointHook': {
        'interval': either(COUNT, choice(-1)), 'max_keep_ckpts': either(COUNT, choice(-1)), 'save_best': NAMES,
        'rule': either(choice('greater', 'less'), list_of(choice('greater', 'less')), NONE), 'save_begin': INDEX,
        **named('by_epoch save_optimizer save_param_scheduler save_last', FLAG),
        'out_dir': either(TEXT, NONE), 'filename_tmpl': either(TEMPLATE, NONE),
        **named('greater_keys less_keys published_keys', NAMES),
    },
    'AtomicCheckpointHook': {'max_keep_ckpts': either(whole(2), choice(-1)),
                             **named('later_of_equals validate_start', FLAG)},
    'LoggerHook': {**named('interval interval_exp_name', COUNT),
                   **named('ignore_last keep_local log_metric_by_epoch', FLAG)},
    'DetVisualizationHook': {**named('draw show', FLAG), 'interval': COUNT, 'score_thr': SHARE, 'wait_time': FACTOR,
                             'test_out_dir': either(TEXT, NONE)},
    'TestPanelHook': {'file': TEXT, 'num_images': whole(1, 1000), 'score_threshold': SHARE, **_PICTURE},
    'SkyLocalVisualizer': {**_PICTURE, 'stretch': either(range_of(number(0, 100)), NONE)},
    'HardNegativeHook': {'score': SHARE, 'distance': number(0, 1000), **named('per_image epochs', whole(1, 1000))},
    'EMAHook': {'ema_type': choice('ExponentialMovingAverage', 'MomentumAnnealingEMA', 'StochasticWeightAverage',
                                   'StartAverage'),
                'momentum': number(0, 0.999, above=True), 'start_share': number(0, 0.999),
                **named('gamma interval', COUNT), 'update_buffers': FLAG,
                **named('begin_iter begin_epoch', INDEX)},
    'MemoryFormatHook': {'memory_format': choice('channels_last', 'contiguous_format')},
    'FuseHook': {'enabled': FLAG},
    'TestProgressHook': {'disable': FLAG},
    'LogProcessor': {'window_size': COUNT, 'num_digits': whole(0, 16), **named('by_epoch log_with_hierarchy', FLAG)},
    'BaseMetric': {'collect_device': choice('cpu', 'gpu'), **named('prefix collect_dir', either(TEXT, NONE))},
    'DenseSIRSTMetric': {'fppi_score': SHARE, 'legacy_coordinates': FLAG, 'centre_distance': number(0, 1000)},
    'IRSTDMetric': {'prediction': TEXT},
    'PretrainedInit': {'checkpoint': TEXT},
}

# Settings by their key: * is one part of it, ** any number of parts, {a,b} a or b.
_BY_KEY: dict[str, Allowed] = {
    'model': SETTINGS,
    'model.{backbone,bbox_head}': PART,
    'model.neck': either(PART, PARTS, NONE),
    'model.data_preprocessor': either(PART, NONE),
    'model.train_cfg': either(SETTINGS, NONE),
    'model.test_cfg': SETTINGS,
    'model.test_cfg.**.score_thr': SHARE,
    'model.test_cfg.**.{nms_pre,max_per_img}': COUNT,
    'model.test_cfg.**.min_bbox_size': number(-1, MAX_SIDE),
    'model.test_cfg.**.nms': SETTINGS,
    'model.test_cfg.**.nms.type': choice('nms', 'soft_nms'),
    'model.test_cfg.**.nms.iou_threshold': number(0, 1, above=True),
    'model.test_cfg.whole_pixels': FLAG,
    'model.test_cfg.sky_side': either(whole(32, MAX_SIDE), NONE),
    'model.test_cfg.calibration': Allowed(WORDS, lambda value: fault_of(value) is None, None),
    'model.**.loss_weight': FACTOR,
    'model.**.{loss_*,bbox_coder}': PART,
    'model.**.reduction': choice('none', 'mean', 'sum'),
    'model.**.{norm_cfg,conv_cfg,act_cfg}': either(PART, NONE),
    'model.**.norm_cfg.requires_grad': FLAG,
    'model.**.norm_cfg.num_groups': COUNT,
    '**.init_cfg': either(PART, list_of(PART), NONE),
    'model.**.init_cfg.**.std': FACTOR,
    'model.**.init_cfg.**.bias_prob': number(0, 0.999, above=True),
    '{train,val,test}_dataloader': either(SETTINGS, NONE),
    '*_dataloader.batch_size': whole(1, 2**16),
    '*_dataloader.num_workers': whole(0, MAX_WORKERS),
    '*_dataloader.prefetch_factor': either(whole(1, 1024), NONE),
    '*_dataloader.{persistent_workers,drop_last,pin_memory,shuffle}': FLAG,
    '*_dataloader.timeout': FACTOR,
    '*_dataloader.{dataset,sampler}': PART,
    '*_dataloader.{batch_sampler,collate_fn}': either(PART, NONE),
    '{train,val,test}_evaluator': either(PART, list_of(PART), NONE),
    '{train,val,test}_cfg': either(SETTINGS, NONE),
    'optim_wrapper.constructor': Allowed('the name of a registered constructor', lambda value: isinstance(value, str)
                                         and OPTIM_WRAPPER_CONSTRUCTORS.get(value) is not None,
                                         'DefaultOptimWrapperConstructor'),
    'train_cfg.{max_epochs,max_iters,val_interval}': COUNT,
    'train_cfg.val_begin': INDEX,
    'train_cfg.dynamic_intervals': either(list_of(list_of(INDEX, 2)), NONE),
    'train_cfg.by_epoch': FLAG,
    '{val,test}_cfg.fp16': FLAG,
    'optim_wrapper': either(SETTINGS, NONE),
    'optim_wrapper.optimizer': PART,
    # Adaptive optimizers take it as a factor near 1; beyond this it is a slip.
    'optim_wrapper.optimizer.lr': number(0, 1000, above=True),
    'optim_wrapper.optimizer.{weight_decay,eps}': number(0, 10),
    'optim_wrapper.optimizer.{momentum,dampening,alpha}': SHARE,
    'optim_wrapper.optimizer.betas': Allowed('two numbers of at least 0 and below 1', lambda value: list_of(
        SHARE, 2).test(value) and max(value) < 1, [0.9, 0.999]),
    'optim_wrapper.optimizer.{d0,d_coef}': POSITIVE,
    # Infinity, its default, bounds nothing.
    'optim_wrapper.optimizer.growth_rate': either(number(1, above=True), choice(math.inf)),
    'optim_wrapper.optimizer.{decouple,amsgrad,nesterov,maximize,use_bias_correction,safeguard_warmup}': FLAG,
    'optim_wrapper.accumulative_counts': COUNT,
    'optim_wrapper.clip_grad': either(SETTINGS, NONE),
    'optim_wrapper.clip_grad.{max_norm,clip_value,norm_type}': POSITIVE,
    'optim_wrapper.clip_grad.type': choice('norm', 'value'),
    'optim_wrapper.clip_grad.error_if_nonfinite': FLAG,
    'optim_wrapper.loss_scale': either(choice('dynamic'), POSITIVE, SETTINGS),
    'optim_wrapper.paramwise_cfg': either(SETTINGS, NONE),
    'optim_wrapper.paramwise_cfg.**.*_mult': FACTOR,
    'optim_wrapper.paramwise_cfg.bypass_duplicate': FLAG,
    'optim_wrapper.paramwise_cfg.custom_keys': SETTINGS,
    'param_scheduler': either(PARTS, PART, NONE),
    'param_scheduler.**.begin': INDEX,
    'param_scheduler.**.{end,step_size,total_steps}': COUNT,
    'param_scheduler.**.T_max': either(COUNT, NONE),
    'param_scheduler.**.milestones': list_of(INDEX, ascending=True, empty=True),
    'param_scheduler.**.{gamma,power}': POSITIVE,
    'param_scheduler.**.{factor,start_factor,end_factor}': SHARE,
    'param_scheduler.**.eta_min_ratio': either(SHARE, NONE),
    'param_scheduler.**.eta_min': either(FACTOR, NONE),
    '{default_hooks,custom_hooks}.*.priority': either(whole(0, 100), choice(*Priority.__members__)),
    'param_scheduler.**.{by_epoch,convert_to_iter_based,verbose}': FLAG,
    'param_scheduler.**.last_step': whole(-1),
    'auto_scale_lr': either(SETTINGS, NONE),
    'auto_scale_lr.enable': FLAG,
    'auto_scale_lr.base_batch_size': COUNT,
    'default_hooks': either(SETTINGS, NONE),
    'default_hooks.*': either(PART, NONE),
    'custom_hooks': either(PARTS, NONE),
    'env_cfg': SETTINGS,
    'env_cfg.{cudnn_benchmark,resource_limit_unlimited}': FLAG,
    'env_cfg.{mp_cfg,dist_cfg}': SETTINGS,
    'env_cfg.mp_cfg.mp_start_method': choice('fork', 'spawn', 'forkserver'),
    'env_cfg.mp_cfg.opencv_num_threads': whole(0, 4096),
    'env_cfg.dist_cfg.backend': choice('nccl', 'gloo', 'mpi'),
    'env_cfg.dist_cfg.timeout': POSITIVE,
    'env_cfg.resource_limit': COUNT,
    'randomness': SETTINGS,
    'randomness.seed': SEED,
    'randomness.{deterministic,diff_rank_seed}': FLAG,
    'visualizer': either(PART, NONE),
    'visualizer.tensorboard': FLAG,
    '**.vis_backends': either(PARTS, NONE),
    'log_processor': either(SETTINGS, NONE),
    'log_level': choice('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'),
    'splits': Allowed('a text that can stand in the name of a file, as v2 or rec',
                      lambda value: isinstance(value, str) and bool(re.fullmatch(r'\w[\w.-]*', value)), 'v2'),
    'load_from': either(TEXT, NONE),
    'resume': FLAG,
    'work_dir': TEXT,
    'experiment_name': either(TEXT, NONE),
    'launcher': choice('none', 'pytorch', 'slurm', 'mpi'),
    'default_scope': choice('mmdet'),
    'runner_type': Allowed('the name of a registered runner', lambda value: isinstance(value, str)
                           and RUNNERS.get(value) is not None, 'DetectionRunner'),
    'find_unused_parameters': FLAG,
    'input_size': SIZE,
    'custom_imports': either(SETTINGS, NONE),
    'custom_imports.imports': either(TEXT, list_of(TEXT, empty=True)),
    'custom_imports.allow_failed_imports': FLAG,
}


def _pattern(key: str) -> 're.Pattern[str]':
    parts = re.escape(key).replace(r'\{', '(?:').replace(r'\}', ')').replace(',', '|')
    return re.compile(parts.replace(r'\*\*\.', r'(?:[^.]+\.)*').replace(r'\*', '[^.]*'))


@cache
def _patterns() -> tuple:
    return tuple((_pattern(key), allowed) for key, allowed in _BY_KEY.items())


@lru_cache(maxsize=2**14)
def _by_key(key: str) -> Allowed | None:
    return next((allowed for pattern, allowed in _patterns() if pattern.fullmatch(key)), None)


def find_rule(key: str, classes: Iterable[str] = ()) -> Allowed | None:
    """What the setting of a dotted key may be, or None where no rule says so.

    Args:
        key: Dotted key from the root of the config.
        classes: Names of the class beside whose ``type`` it stands, and of its parents, nearest first.
    """
    name = key.rsplit('.', 1)[-1]
    own = (BY_CLASS.get(cls, {}).get(name) for cls in classes)
    return next((allowed for allowed in own if allowed is not None), None) or _by_key(key)
