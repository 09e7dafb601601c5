"""Which values the settings of a config may have: by the dotted key, and by class and argument."""
import math
import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from mmdet.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, RUNNERS
from mmengine.runner import Priority

from bafenet.arguments import MAX_CHANNELS, MAX_WORKERS
from bafenet.models.small_target_head import ASSIGNERS, BOX_CODINGS, QUALITIES

MAX_SIDE = 16384  # pixels of an image's side


class Allowed(NamedTuple):
    """What a setting may be.

    Attributes:
        words: In words, after "must be".
        test: Whether a value, of any type, is allowed.
        example: One such value.
    """

    words: str
    test: Callable[[Any], bool]
    example: Any


def is_whole(value: Any) -> bool:
    """Whether a value is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a finite int or float, and no bool."""
    return is_whole(value) or isinstance(value, float) and math.isfinite(value)


def _whole(low: int, high: int | None = None) -> Allowed:
    words = f'a whole number of at least {low}' if high is None else f'a whole number from {low} to {high}'
    return Allowed(words, lambda value: is_whole(value) and low <= value <= (math.inf if high is None else high),
                   max(low, 1))


def _number(low: float, high: float = math.inf, above: bool = False) -> Allowed:
    """Finite numbers from ``low`` to ``high``; with ``above``, not ``low`` itself."""
    start = f'above {low:g}' if above else f'of at least {low:g}'
    words = f'a finite number {start}' + (f' and at most {high:g}' if math.isfinite(high) else '')
    return Allowed(words, lambda value: is_number(value) and low <= value <= high and not (above and value == low),
                   1.0 if low < 1 <= high else high)


def _choice(*values: Any) -> Allowed:
    # 1 == True, and neither is the other.
    return Allowed(f'one of {", ".join(map(str, values))}',
                   lambda value: any(value == item and type(value) is type(item) for item in values), values[0])


def _list(item: Allowed, length: int | None = None, ascending: bool = False, empty: bool = False) -> Allowed:
    def test(value: Any) -> bool:
        return (isinstance(value, (list, tuple)) and (len(value) == length if length else empty or len(value) > 0)
                and all(map(item.test, value))
                and (not ascending or all(low < high for low, high in zip(value, value[1:], strict=False))))

    words = f'a list of {length or "one or more"} values{" in ascending order" if ascending else ""}, each {item.words}'
    return Allowed(words, test, [item.example] * (1 if ascending else length or 1))


def _range(item: Allowed) -> Allowed:
    return Allowed(f'two values (low, high) in this order, each {item.words}',
                   lambda value: _list(item, 2).test(value) and value[0] <= value[1], [item.example] * 2)


def _or(*kinds: Allowed) -> Allowed:
    return Allowed(', or '.join(kind.words for kind in kinds), lambda value: any(kind.test(value) for kind in kinds),
                   kinds[0].example)


FLAG = Allowed('True or False', lambda value: isinstance(value, bool), True)
TEXT = Allowed('text', lambda value: isinstance(value, str), '')
TEMPLATE = Allowed('a file name with one {}, which a number takes', lambda value: isinstance(value, str)
                   and value.count('{}') == 1 == value.count('{') and value.count('}') == 1 and '/' not in value,
                   'epoch_{}.pth')
NONE = Allowed('None', lambda value: value is None, None)
COUNT, INDEX = _whole(1), _whole(0)
SHARE, FACTOR, POSITIVE, FINITE = _number(0, 1), _number(0), _number(0, above=True), _number(-math.inf)
CHANNELS = _whole(1, MAX_CHANNELS)
SIZE = _list(_whole(1, MAX_SIDE), 2)
SEED = _or(_whole(0, 2**32 - 1), NONE)
NETWORK = Allowed('the name of a registered network part', lambda value: isinstance(value, str)
                  and MODELS.get(value) is not None, 'lsk')
NAMES = _or(TEXT, _list(TEXT), NONE)
SETTINGS = Allowed('a dict of settings', lambda value: isinstance(value, dict), {})
PART = Allowed('a dict of settings with a type', lambda value: isinstance(value, dict) and 'type' in value, {})
PARTS = _list(PART, empty=True)


def _named(names: str, allowed: Allowed) -> dict[str, Allowed]:
    return dict.fromkeys(names.split(), allowed)


# Every n-th channel or column is exchanged (models/exchange.py).
_EVERY_NTH = Allowed('1 over a whole number: 1, 0.5, 0.25 …', lambda value: is_number(value) and value > 1e-6
                     and abs(round(1 / value) * value - 1) <= 1e-6, 0.5)
_NUMBERS = _list(_number(-MAX_SIDE, MAX_SIDE), 3)
_LEVEL = Allowed('two sizes (low, high), low below high', _list(_number(-1), 2, True).test, (-1, 64))

# Arguments of a class, by its name or a parent's: rules that hold wherever the class stands.
BY_CLASS: dict[str, dict[str, Allowed]] = {
    # Data
    'BaseDataset': {
        **_named('data_root ann_file', _or(TEXT, NONE)),
        **_named('test_mode lazy_init serialize_data', FLAG),
        'indices': _or(COUNT, _list(INDEX), NONE), 'max_refetch': INDEX, 'pipeline': PARTS,
        'metainfo': _or(SETTINGS, TEXT, NONE), 'filter_cfg': _or(SETTINGS, NONE),
    },
    'DenseSIRSTDataset': {'box_origin': _choice(0, 1), 'img_suffix': TEXT, 'data_prefix': _or(SETTINGS, NONE)},
    'DefaultSampler': {**_named('shuffle round_up', FLAG), 'seed': SEED},
    'EpochSampler': {'repeats': _number(0, 1000, above=True)},
    'Resize': {'scale': _or(SIZE, NONE), **_named('keep_ratio clip_object_border', FLAG),
               'scale_factor': _or(POSITIVE, _list(POSITIVE, 2), NONE)},
    'RandomFlip': {'prob': _or(SHARE, _list(SHARE), NONE)},
    'LoadInfraredImage': {'cache_mb': FACTOR},
    'LoadSkyAnnotations': {'cache_mb': FACTOR},
    'BalancedCrop': {'size': SIZE, 'late_size': _or(SIZE, NONE), 'late_epoch': _or(INDEX, NONE),
                     **_named('target_prob other_prob min_visible', SHARE)},
    'BAGCopyPaste': {
        **_named('prob visible_share', SHARE), **_named('clustered gaussian truncate_boxes', FLAG),
        **_named('region_size max_target_size', _whole(1, MAX_SIDE)), 'max_gt': _or(INDEX, NONE),
        **_named('num_clusters targets_per_cluster spacing', _range(INDEX)), 'brightness': _range(FACTOR),
        'sigma': _range(POSITIVE), **_named('offset rotation', _range(FINITE)), 'background': _choice('sky', 'any'),
    },
    'PackDetInputs': {'meta_keys': _list(TEXT, empty=True)},
    # Networks
    'ImgDataPreprocessor': {
        'mean': _or(_NUMBERS, NONE), 'std': _or(_list(POSITIVE, 3), NONE), 'pad_size_divisor': _whole(1, 1024),
        'pad_value': FINITE, **_named('bgr_to_rgb rgb_to_bgr non_blocking', FLAG),
    },
    'DetDataPreprocessor': {**_named('pad_mask pad_seg boxtype2tensor', FLAG),
                            **_named('mask_pad_value seg_pad_value', _whole(0, 255))},
    'ResNet': {
        **_named('num_stages', _whole(1, 4)), **_named('in_channels base_channels', CHANNELS),
        'stem_channels': _or(CHANNELS, NONE), 'frozen_stages': _whole(-1, 4), 'style': _choice('pytorch', 'caffe'),
        **_named('strides dilations', _list(COUNT)), 'out_indices': _list(_whole(0, 3), ascending=True),
        **_named('norm_eval deep_stem avg_down with_cp zero_init_residual', FLAG), 'pretrained': _or(TEXT, NONE),
        'dcn': _or(PART, NONE), 'plugins': _or(_list(SETTINGS), NONE), 'stage_with_dcn': _list(FLAG),
    },
    'CompactResNet': {
        'stage_channels': _list(CHANNELS), 'stage_blocks': _list(_whole(1, 100)), 'dilations': _list(_whole(1, 100)),
        'out_indices': _or(_list(INDEX, ascending=True), NONE), 'stem_kernel': _whole(2, 31),
        'stem_channels': _or(CHANNELS, NONE), 'in_channels': CHANNELS,
    },
    'FPN': {
        'in_channels': _list(CHANNELS), 'out_channels': CHANNELS, 'num_outs': _whole(1, 16),
        'start_level': _whole(0, 16), 'end_level': _whole(-1, 16),
        'add_extra_convs': _or(FLAG, _choice('on_input', 'on_lateral', 'on_output')),
        **_named('relu_before_extra_convs no_norm_on_lateral', FLAG),
    },
    'AnchorFreeHead': {
        'num_classes': _whole(1, 10000), **_named('in_channels feat_channels', CHANNELS),
        'stacked_convs': _whole(0, 64), 'strides': _list(_whole(1, 1024)), 'dcn_on_last_conv': FLAG,
        'conv_bias': _or(FLAG, _choice('auto')),
    },
    'FCOSHead': {'regress_ranges': _list(_LEVEL), 'center_sample_radius': POSITIVE,
                 **_named('center_sampling norm_on_bbox centerness_on_reg', FLAG)},
    'SmallTargetHead': {'box_coding': _choice(*BOX_CODINGS), 'quality': _choice(*QUALITIES),
                        'side_knots': _list(FACTOR, ascending=True), 'assign': _or(_choice(*ASSIGNERS), PART),
                        'loss_sides': PART},
    'BAFEHead': {**_named('with_seg bottleneck', FLAG), 'refine': _or(NETWORK, PART, NONE), 'exchange': _or(PART, NONE),
                 'bottleneck_norm_cfg': PART, 'loss_seg': PART},
    '_Exchange': {'ratio': _number(0, 1, above=True), 'adapter': _or(PART, NONE), 'shared_adapter': FLAG},
    '_AlternateExchange': {'ratio': _EVERY_NTH},
    'DynamicChannelExchange': {'gate': _choice('straight_through', 'index')},
    'SequentialExchange': {'exchanges': _list(PART)},
    'MLPAdapter': {'hidden_channels': CHANNELS, **_named('mix_channels residual', FLAG)},
    'InsideAssigner': {'center_radius': _or(POSITIVE, NONE)},
    'NearestAssigner': {'topk': _whole(1, 1000)},
    'ReceptiveFieldAssigner': {'topk': _whole(1, 1000), 'radius': POSITIVE, 'distance': _choice('kl', 'wasserstein')},
    'SimOTAAssigner': {**_named('center_radius', POSITIVE), 'candidate_topk': COUNT,
                       **_named('iou_weight cls_weight', FACTOR)},
    'FocalLoss': {'gamma': FACTOR, 'alpha': SHARE, **_named('use_sigmoid activated', FLAG)},
    'CrossEntropyLoss': {**_named('use_sigmoid use_mask avg_non_ignore', FLAG),
                         'ignore_index': _or(_whole(-255, 255), NONE)},
    'NormalisedWassersteinLoss': {'constant': POSITIVE},
    # Runs
    'CheckpointHook': {
        'interval': _or(COUNT, _choice(-1)), 'max_keep_ckpts': _or(COUNT, _choice(-1)), 'save_best': NAMES,
        'rule': _or(_choice('greater', 'less'), _list(_choice('greater', 'less')), NONE), 'save_begin': INDEX,
        **_named('by_epoch save_optimizer save_param_scheduler save_last', FLAG),
        'out_dir': _or(TEXT, NONE), 'filename_tmpl': _or(TEMPLATE, NONE),
        **_named('greater_keys less_keys published_keys', NAMES),
    },
    'AtomicCheckpointHook': {'max_keep_ckpts': _or(_whole(2), _choice(-1))},
    'LoggerHook': {**_named('interval interval_exp_name', COUNT),
                   **_named('ignore_last keep_local log_metric_by_epoch', FLAG)},
    'DetVisualizationHook': {**_named('draw show', FLAG), 'interval': COUNT, 'score_thr': SHARE, 'wait_time': FACTOR,
                             'test_out_dir': _or(TEXT, NONE)},
    'TestPanelHook': {'file': TEXT, 'num_images': _whole(1, 1000), 'score_threshold': SHARE},
    'MemoryFormatHook': {'memory_format': _choice('channels_last', 'contiguous_format')},
    'FuseHook': {'enabled': FLAG},
    'TestProgressHook': {'disable': FLAG},
    'LogProcessor': {'window_size': COUNT, 'num_digits': _whole(0, 16), **_named('by_epoch log_with_hierarchy', FLAG)},
    'BaseMetric': {'collect_device': _choice('cpu', 'gpu'), **_named('prefix collect_dir', _or(TEXT, NONE))},
    'DenseSIRSTMetric': {'fppi_score': SHARE, 'legacy_coordinates': FLAG},
    'PretrainedInit': {'checkpoint': TEXT},
}

# Settings by their key: * is one part of it, ** any number of parts, {a,b} a or b.
_BY_KEY: dict[str, Allowed] = {
    'model': SETTINGS,
    'model.{backbone,bbox_head}': PART,
    'model.neck': _or(PART, PARTS, NONE),
    'model.data_preprocessor': _or(PART, NONE),
    'model.train_cfg': _or(SETTINGS, NONE),
    'model.test_cfg': SETTINGS,
    'model.test_cfg.**.score_thr': SHARE,
    'model.test_cfg.**.{nms_pre,max_per_img}': COUNT,
    'model.test_cfg.**.min_bbox_size': _number(-1, MAX_SIDE),
    'model.test_cfg.**.nms': SETTINGS,
    'model.test_cfg.**.nms.type': _choice('nms', 'soft_nms'),
    'model.test_cfg.**.nms.iou_threshold': _number(0, 1, above=True),
    'model.test_cfg.whole_pixels': FLAG,
    'model.**.loss_weight': FACTOR,
    'model.**.{loss_*,bbox_coder}': PART,
    'model.**.reduction': _choice('none', 'mean', 'sum'),
    'model.**.{norm_cfg,conv_cfg,act_cfg}': _or(PART, NONE),
    'model.**.norm_cfg.requires_grad': FLAG,
    'model.**.norm_cfg.num_groups': COUNT,
    '**.init_cfg': _or(PART, _list(PART), NONE),
    'model.**.init_cfg.**.std': FACTOR,
    'model.**.init_cfg.**.bias_prob': _number(0, 0.999, above=True),
    '{train,val,test}_dataloader': _or(SETTINGS, NONE),
    '*_dataloader.batch_size': _whole(1, 2**16),
    '*_dataloader.num_workers': _whole(0, MAX_WORKERS),
    '*_dataloader.prefetch_factor': _or(_whole(1, 1024), NONE),
    '*_dataloader.{persistent_workers,drop_last,pin_memory,shuffle}': FLAG,
    '*_dataloader.timeout': FACTOR,
    '*_dataloader.{dataset,sampler}': PART,
    '*_dataloader.{batch_sampler,collate_fn}': _or(PART, NONE),
    '{train,val,test}_evaluator': _or(PART, _list(PART), NONE),
    '{train,val,test}_cfg': _or(SETTINGS, NONE),
    'optim_wrapper.constructor': Allowed('the name of a registered constructor', lambda value: isinstance(value, str)
                                         and OPTIM_WRAPPER_CONSTRUCTORS.get(value) is not None,
                                         'DefaultOptimWrapperConstructor'),
    'train_cfg.{max_epochs,max_iters,val_interval}': COUNT,
    'train_cfg.val_begin': INDEX,
    'train_cfg.dynamic_intervals': _or(_list(_list(INDEX, 2)), NONE),
    'train_cfg.by_epoch': FLAG,
    '{val,test}_cfg.fp16': FLAG,
    'optim_wrapper': _or(SETTINGS, NONE),
    'optim_wrapper.optimizer': PART,
    # Adaptive optimizers take it as a factor near 1; beyond this it is a slip.
    'optim_wrapper.optimizer.lr': _number(0, 1000, above=True),
    'optim_wrapper.optimizer.{weight_decay,eps}': _number(0, 10),
    'optim_wrapper.optimizer.{momentum,dampening,alpha}': SHARE,
    'optim_wrapper.optimizer.betas': Allowed('two numbers of at least 0 and below 1', lambda value: _list(
        SHARE, 2).test(value) and max(value) < 1, [0.9, 0.999]),
    'optim_wrapper.optimizer.{d0,d_coef}': POSITIVE,
    # Infinity, its default, bounds nothing.
    'optim_wrapper.optimizer.growth_rate': _or(_number(1, above=True), _choice(math.inf)),
    'optim_wrapper.optimizer.{decouple,amsgrad,nesterov,maximize,use_bias_correction,safeguard_warmup}': FLAG,
    'optim_wrapper.accumulative_counts': COUNT,
    'optim_wrapper.clip_grad': _or(SETTINGS, NONE),
    'optim_wrapper.clip_grad.{max_norm,clip_value,norm_type}': POSITIVE,
    'optim_wrapper.clip_grad.type': _choice('norm', 'value'),
    'optim_wrapper.clip_grad.error_if_nonfinite': FLAG,
    'optim_wrapper.loss_scale': _or(_choice('dynamic'), POSITIVE, SETTINGS),
    'optim_wrapper.paramwise_cfg': _or(SETTINGS, NONE),
    'optim_wrapper.paramwise_cfg.**.*_mult': FACTOR,
    'optim_wrapper.paramwise_cfg.bypass_duplicate': FLAG,
    'optim_wrapper.paramwise_cfg.custom_keys': SETTINGS,
    'param_scheduler': _or(PARTS, PART, NONE),
    'param_scheduler.**.begin': INDEX,
    'param_scheduler.**.{end,step_size,total_steps}': COUNT,
    'param_scheduler.**.T_max': _or(COUNT, NONE),
    'param_scheduler.**.milestones': _list(INDEX, ascending=True, empty=True),
    'param_scheduler.**.{gamma,power}': POSITIVE,
    'param_scheduler.**.{factor,start_factor,end_factor}': SHARE,
    'param_scheduler.**.eta_min_ratio': _or(SHARE, NONE),
    'param_scheduler.**.eta_min': _or(FACTOR, NONE),
    '{default_hooks,custom_hooks}.*.priority': _or(_whole(0, 100), _choice(*Priority.__members__)),
    'param_scheduler.**.{by_epoch,convert_to_iter_based,verbose}': FLAG,
    'param_scheduler.**.last_step': _whole(-1),
    'auto_scale_lr': _or(SETTINGS, NONE),
    'auto_scale_lr.enable': FLAG,
    'auto_scale_lr.base_batch_size': COUNT,
    'default_hooks': _or(SETTINGS, NONE),
    'default_hooks.*': _or(PART, NONE),
    'custom_hooks': _or(PARTS, NONE),
    'env_cfg': SETTINGS,
    'env_cfg.{cudnn_benchmark,resource_limit_unlimited}': FLAG,
    'env_cfg.{mp_cfg,dist_cfg}': SETTINGS,
    'env_cfg.mp_cfg.mp_start_method': _choice('fork', 'spawn', 'forkserver'),
    'env_cfg.mp_cfg.opencv_num_threads': _whole(0, 4096),
    'env_cfg.dist_cfg.backend': _choice('nccl', 'gloo', 'mpi'),
    'env_cfg.dist_cfg.timeout': POSITIVE,
    'env_cfg.resource_limit': COUNT,
    'randomness': SETTINGS,
    'randomness.seed': SEED,
    'randomness.{deterministic,diff_rank_seed}': FLAG,
    'visualizer': _or(PART, NONE),
    '**.vis_backends': _or(PARTS, NONE),
    'log_processor': _or(SETTINGS, NONE),
    'log_level': _choice('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL'),
    'splits': Allowed('a text that can stand in the name of a file, as v2 or rec',
                      lambda value: isinstance(value, str) and bool(re.fullmatch(r'\w[\w.-]*', value)), 'v2'),
    'load_from': _or(TEXT, NONE),
    'resume': FLAG,
    'work_dir': TEXT,
    'experiment_name': _or(TEXT, NONE),
    'launcher': _choice('none', 'pytorch', 'slurm', 'mpi'),
    'default_scope': _choice('mmdet'),
    'runner_type': Allowed('the name of a registered runner', lambda value: isinstance(value, str)
                           and RUNNERS.get(value) is not None, 'DetectionRunner'),
    'find_unused_parameters': FLAG,
    'input_size': SIZE,
    'custom_imports': _or(SETTINGS, NONE),
    'custom_imports.imports': _or(TEXT, _list(TEXT, empty=True)),
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
