# SSD512 whose anchors of the finest level are as large as its stride, 8 px, instead of 20: each target lies under one.
_base_ = './ssd512_densesirst.py'

model = dict(
    bbox_head=dict(
        anchor_generator=dict(
            basesize_ratio_range=None,
            min_sizes=[8, 20, 51, 133, 215, 297, 379],
            max_sizes=[20, 51, 133, 215, 297, 379, 461])))
