# The demo with BAG-CP, at stride 2, where every target holds a point: for the rows about boxes, flips and the gate.
_base_ = '../../../demo/bafenet_r18_demo_bagcp.py'
