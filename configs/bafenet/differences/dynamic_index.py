# The dynamic exchange, its gate without a gradient, as in the release.
_base_ = './dynamic.py'

model = dict(bbox_head=dict(exchange=dict(gate='index')))
