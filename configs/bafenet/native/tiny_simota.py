# Points are given to targets by what the network predicts there, as in SimOTA.
_base_ = './tiny_nearest.py'

model = dict(bbox_head=dict(assign='simota'))
