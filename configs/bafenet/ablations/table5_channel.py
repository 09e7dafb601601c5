# Table V: channel exchange, all of BAFE-Net.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
