# Table III (a): detection alone, FCOS on three levels.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

head = dict(with_seg=False)
if 'init_cfg' in _base_.model.bbox_head:
    # Where layers are initialised by name, none for the sky may be among them.
    named = [layer for layer in _base_.model.bbox_head.init_cfg.override if layer.name != 'conv_seg']
    head.update(init_cfg=dict(override=named))
model = dict(bbox_head=head)
