# Table III (d): features exchanged through the adapter, all of BAFE-Net.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
