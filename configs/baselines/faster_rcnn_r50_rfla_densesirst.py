# Faster R-CNN whose proposals learn from the places whose receptive fields are like a target (RFLA),
# https://arxiv.org/abs/2208.08738.
_base_ = './faster_rcnn_r50_densesirst.py'

model = dict(
    # One square at each place, which stands for its receptive field.
    rpn_head=dict(anchor_generator=dict(scales=[2], ratios=[1.0])),
    train_cfg=dict(rpn=dict(assigner=dict(_delete_=True, type='AnchorReceptiveFieldAssigner', topk=3))))
