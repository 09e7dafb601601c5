# Faster R-CNN whose proposals learn from anchors that are like a target by NWD instead of IoU,
# https://arxiv.org/abs/2110.13389.
_base_ = './faster_rcnn_r50_tiny_anchors_densesirst.py'

# C, the mean size of the targets in pixels of the network's input.
similarity = dict(type='NormalisedWassersteinSimilarity', constant=3.7)
model = dict(
    train_cfg=dict(
        rpn=dict(assigner=dict(min_pos_iou=0.3, iou_calculator=similarity)),
        rcnn=dict(assigner=dict(iou_calculator=similarity))))
