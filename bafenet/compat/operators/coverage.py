"""Which of mmcv's compiled operators are here, on what they stand, who calls them, and why the others are not."""
from collections.abc import Callable
from typing import NamedTuple

from .attention import ms_deform_attn_backward, ms_deform_attn_forward
from .border_align import border_align_backward, border_align_forward
from .boxes import bbox_overlaps, nms, nms_match, softnms
from .deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from .focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from .reassembly import (
    carafe_backward,
    carafe_forward,
    carafe_naive_backward,
    carafe_naive_forward,
    masked_col2im_forward,
    masked_im2col_forward,
)
from .roi_pooling import (
    deform_roi_pool_backward,
    deform_roi_pool_forward,
    roi_align_backward,
    roi_align_forward,
    roi_pool_backward,
    roi_pool_forward,
)
from .sync_bn import (
    sync_bn_backward_data,
    sync_bn_backward_param,
    sync_bn_forward_mean,
    sync_bn_forward_output,
    sync_bn_forward_var,
)


class Covered(NamedTuple):
    """Compiled operators that are here.

    Attributes:
        names: As ``mmcv.ops`` has them: functions and modules.
        functions: Of ``mmcv._ext``, those that go backward too.
        stands_on: What computes them.
        backward: Whether a gradient flows: ``'yes'``, or why it need not.
        callers: Files and folders of mmdet 3.3 that call them, below ``mmdet/``.
        used_by: The detectors and configs that come that way.
    """

    names: tuple[str, ...]
    functions: tuple[Callable, ...]
    stands_on: str
    backward: str
    callers: tuple[str, ...]
    used_by: str


class LeftOut(NamedTuple):
    """Compiled operators that are not here.

    Attributes:
        functions: Names in ``mmcv._ext``.
        what: What they are for.
        instead: What does the same, where something does.
    """

    functions: tuple[str, ...]
    what: str
    instead: str = ''


_NO_GRADIENT = 'none to give: indices'

COVERED = (
    Covered(('RoIAlign', 'roi_align'), (roi_align_forward, roi_align_backward),
            'torchvision `roi_align`; `pool_mode="max"` an embedding bag', 'yes',
            ('models/roi_heads/roi_extractors/base_roi_extractor.py', 'structures/mask/structures.py'),
            'all two-stage detectors, Sparse R-CNN, target masks'),
    Covered(('RoIPool', 'roi_pool'), (roi_pool_forward, roi_pool_backward),
            "PyTorch; torchvision's `roi_pool` rounds otherwise", 'yes',
            ('models/roi_heads/roi_extractors/base_roi_extractor.py', ),
            'two-stage detectors by `roi_layer=dict(type="RoIPool")`'),
    Covered(('DeformRoIPool', 'DeformRoIPoolPack', 'ModulatedDeformRoIPoolPack', 'deform_roi_pool'),
            (deform_roi_pool_forward, deform_roi_pool_backward), 'PyTorch, an embedding bag', 'yes',
            ('models/roi_heads/roi_extractors/base_roi_extractor.py', ),
            '`dcn/faster-rcnn_…_dpool`, `dcnv2/faster-rcnn_…_mdpool`'),
    Covered(('DeformConv2d', 'DeformConv2dPack', 'SAConv2d', 'deform_conv2d'),
            (deform_conv_forward, deform_conv_backward_input, deform_conv_backward_parameters),
            'torchvision `deform_conv2d`', 'yes',
            ('models/dense_heads/tood_head.py', 'models/dense_heads/vfnet_head.py',
             'models/dense_heads/reppoints_head.py', 'models/dense_heads/guided_anchor_head.py',
             'models/dense_heads/cascade_rpn_head.py', 'models/dense_heads/fovea_head.py',
             'models/dense_heads/centripetal_head.py', 'models/backbones'),
            'TOOD, VFNet, RepPoints, guided anchoring, Cascade RPN, FoveaBox, CentripetalNet; '
            '`dcn=dict(type="DCN")` in ResNets, `SAC` of DetectoRS'),
    Covered(('ModulatedDeformConv2d', 'ModulatedDeformConv2dPack', 'modulated_deform_conv2d'),
            (modulated_deform_conv_forward, modulated_deform_conv_backward), 'torchvision `deform_conv2d`', 'yes',
            ('models/necks/dyhead.py', 'models/dense_heads/atss_vlfusion_head.py', 'models/backbones'),
            'DyHead, GLIP; `dcn=dict(type="DCNv2")` in ResNets and in necks'),
    Covered(('MultiScaleDeformableAttention', ), (ms_deform_attn_forward, ms_deform_attn_backward),
            'PyTorch, an embedding bag; on the CPU mmcv calls PyTorch by itself', 'yes',
            ('models/layers/transformer/deformable_detr_layers.py', 'models/detectors/ddq_detr.py',
             'models/layers/transformer/grounding_dino_layers.py'),
            'Deformable DETR, DINO, DDQ, Grounding DINO, Mask2Former'),
    Covered(('SigmoidFocalLoss', 'sigmoid_focal_loss'), (sigmoid_focal_loss_forward, sigmoid_focal_loss_backward),
            'PyTorch', 'yes', ('models/losses/focal_loss.py', ),
            '`FocalLoss` on CUDA: FCOS, RetinaNet, ATSS and most one-stage detectors'),
    Covered(('SoftmaxFocalLoss', 'softmax_focal_loss'), (softmax_focal_loss_forward, softmax_focal_loss_backward),
            'PyTorch', 'yes', (), 'nothing in mmdet'),
    Covered(('nms', 'batched_nms'), (nms, ), 'torchvision `nms`', _NO_GRADIENT,
            ('models/dense_heads/base_dense_head.py', 'models/layers/bbox_nms.py'), 'all detectors but the DETRs'),
    Covered(('soft_nms', ), (softnms, ), 'PyTorch', _NO_GRADIENT, (),
            '`nms=dict(type="soft_nms")`: CornerNet, CentripetalNet, `faster-rcnn_r50_fpn_soft-nms_…`'),
    Covered(('nms_match', ), (nms_match, ), 'PyTorch', _NO_GRADIENT,
            ('models/task_modules/samplers/score_hlr_sampler.py', ), '`pisa/`'),
    Covered(('bbox_overlaps', ), (bbox_overlaps, ), 'PyTorch', 'none in mmcv either', (), 'nothing in mmdet'),
    Covered(('MaskedConv2d', 'masked_conv2d'), (masked_im2col_forward, masked_col2im_forward), 'PyTorch',
            'none in mmcv either: used in tests alone',
            ('models/dense_heads/guided_anchor_head.py', 'models/dense_heads/ga_retina_head.py'), 'guided anchoring'),
    Covered(('CARAFE', 'CARAFEPack', 'carafe'), (carafe_forward, carafe_backward), 'PyTorch', 'yes',
            ('models/necks/fpn_carafe.py', 'models/roi_heads/mask_heads/fcn_mask_head.py'), '`carafe/`'),
    Covered(('CARAFENaive', 'carafe_naive'), (carafe_naive_forward, carafe_naive_backward), 'PyTorch',
            'yes; mmcv allows it on CUDA alone', (), 'nothing in mmdet'),
    Covered(('BorderAlign', 'border_align'), (border_align_forward, border_align_backward),
            'PyTorch, an embedding bag', 'yes', (), 'nothing in mmdet'),
    Covered(('SyncBatchNorm', ),
            (sync_bn_forward_mean, sync_bn_forward_var, sync_bn_forward_output, sync_bn_backward_param,
             sync_bn_backward_data), 'PyTorch', 'yes', (),
            '`norm_cfg=dict(type="MMSyncBN")`: `strong_baselines/`, `simple_copy_paste/`'),
)

_ROTATED = 'rotated boxes (mmrotate)'
_POINTS = 'point clouds (mmdet3d)'
_VOXELS = 'voxels (mmdet3d)'
_GENERATIVE = 'generative networks (mmagic)'
_TEXT = 'text detection (mmocr)'
LEFT_OUT = (
    LeftOut(('nms_rotated', 'box_iou_rotated', 'roi_align_rotated_forward', 'roi_align_rotated_backward',
             'riroi_align_rotated_forward', 'riroi_align_rotated_backward', 'rotated_feature_align_forward',
             'rotated_feature_align_backward', 'active_rotated_filter_forward', 'active_rotated_filter_backward',
             'diff_iou_rotated_sort_vertices_forward'), _ROTATED),
    LeftOut(('nms_quadri', 'box_iou_quadri', 'convex_iou', 'convex_giou', 'min_area_polygons',
             'points_in_polygons_forward'), 'quadrilaterals and polygons (mmrotate)'),
    LeftOut(('prroi_pool_forward', 'prroi_pool_backward', 'prroi_pool_coor_backward'), 'precise RoI pooling, which no '
            'config calls', 'torchvision.ops.roi_align'),
    LeftOut(('psamask_forward', 'psamask_backward'), 'PSANet (mmsegmentation)'),
    LeftOut(('contour_expand', 'pixel_group', 'bezier_align_forward', 'bezier_align_backward'), _TEXT),
    LeftOut(('bias_act', 'filtered_lrelu', 'filtered_lrelu_act_', 'fused_bias_leakyrelu', 'upfirdn2d'), _GENERATIVE),
    LeftOut(('correlation_forward', 'correlation_backward'), 'optical flow (mmflow)'),
    LeftOut(('tin_shift_forward', 'tin_shift_backward'), 'video recognition (mmaction2)'),
    LeftOut(('assign_score_withk_forward', 'assign_score_withk_backward', 'ball_query_forward',
             'stack_ball_query_forward', 'chamfer_distance_forward', 'chamfer_distance_backward',
             'furthest_point_sampling_forward', 'furthest_point_sampling_with_dist_forward', 'gather_points_forward',
             'gather_points_backward', 'group_points_forward', 'group_points_backward', 'stack_group_points_forward',
             'stack_group_points_backward', 'knn_forward', 'three_interpolate_forward', 'three_interpolate_backward',
             'three_nn_forward', 'iou3d_boxes_overlap_bev_forward', 'iou3d_nms3d_forward',
             'iou3d_nms3d_normal_forward', 'points_in_boxes_part_forward', 'points_in_boxes_cpu_forward',
             'points_in_boxes_all_forward', 'roipoint_pool3d_forward'), _POINTS),
    LeftOut(('roiaware_pool3d_forward', 'roiaware_pool3d_backward', 'dynamic_point_to_voxel_forward',
             'dynamic_point_to_voxel_backward', 'dynamic_voxelize_forward', 'hard_voxelize_forward',
             'get_indice_pairs_2d_forward', 'get_indice_pairs_3d_forward', 'get_indice_pairs_4d_forward',
             'get_indice_pairs_2d_backward', 'get_indice_pairs_3d_backward', 'indice_conv_forward',
             'indice_conv_backward', 'fused_indice_conv_forward', 'indice_maxpool_forward',
             'indice_maxpool_backward'), _VOXELS),
)


def reason_of(name: str) -> tuple[str, str]:
    """What a left-out function of ``mmcv._ext`` is for, and what does the same; both empty where it is unknown."""
    return next(((row.what, row.instead) for row in LEFT_OUT if name in row.functions), ('', ''))
