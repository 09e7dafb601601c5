# Faster R-CNN whose anchors of the finest level are as large as its stride, 4 px: a target of 3 px has up to 0.56 IoU.
_base_ = './faster_rcnn_r50_densesirst.py'

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[1])),
    # 0.3 would leave out a target that lies between four anchors; below this there is no overlap.
    train_cfg=dict(rpn=dict(assigner=dict(min_pos_iou=0.01))))
