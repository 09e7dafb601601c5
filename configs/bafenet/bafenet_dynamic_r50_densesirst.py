# The later version of BAFE-Net: refined features, and channels that a gate picks for each sample.
_base_ = './bafenet_r50_densesirst.py'

model = dict(
    bbox_head=dict(refine='lsk', exchange=dict(type='DynamicChannelExchange', adapter=dict(mix_channels=True))))
