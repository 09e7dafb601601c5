# Nothing differs from our protocol.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
