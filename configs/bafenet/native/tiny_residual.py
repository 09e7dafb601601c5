# An adapter that begins with the plain exchange.
_base_ = '../bafenet_hr_tiny_densesirst.py'

model = dict(bbox_head=dict(exchange=dict(adapter=dict(residual=True))))
