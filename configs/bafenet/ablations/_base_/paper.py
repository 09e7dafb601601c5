_base_ = '../../bafenet_r50_paper_densesirst.py'

paste_step = 3
base_channels = 64
