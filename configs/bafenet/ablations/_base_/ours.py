_base_ = '../../bafenet_r50_densesirst.py'

# What the rows need to know of the protocol: which step of the pipeline pastes, and how wide the backbone starts.
paste_step = 2
base_channels = 64
