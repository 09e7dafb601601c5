# Static against dynamic: every second channel, all of BAFE-Net.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
