_base_ = '../../../demo/bafenet_r18_demo_bagcp.py'

paste_step = 2
base_channels = 16
