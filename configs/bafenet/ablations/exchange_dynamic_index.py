# Static against dynamic: channels picked by a gate that does not learn, as in the paper's release.
_base_ = './exchange_dynamic.py'

model = dict(bbox_head=dict(exchange=dict(gate='index')))
