# Table II (f): BAG-CP, all of it.
_base_ = '../bafenet_r50_densesirst.py'
