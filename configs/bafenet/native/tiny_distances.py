# Distances to the sides as FCOS's four numbers, by the IoU loss alone.
_base_ = '../bafenet_hr_tiny_densesirst.py'

model = dict(bbox_head=dict(box_coding='distances'))
