# Table II (f): BAG-CP, all of it.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'
