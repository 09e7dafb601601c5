# Table V: channel exchange, then spatial exchange.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

channel = _base_.model.bbox_head.exchange
spatial = dict(channel, type='SpatialExchange')
model = dict(
    bbox_head=dict(exchange=dict(_delete_=True, type='SequentialExchange', exchanges=[channel, spatial])))
