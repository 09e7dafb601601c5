# Table IV: adapter with 64 hidden units, all of BAFE-Net.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
