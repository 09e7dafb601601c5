# VFNet's head on the demo's network.
_base_ = '../../demo/bafenet_r18_demo.py'

from bafenet.engine.head_on_level import head_on_level

model = head_on_level(
    'configs/baselines/vfnet_r50_densesirst.py', _base_.model,
    bbox_head=dict(
        # Distances are shares of the level's range, eight strides as released; it wants a second one, which none uses.
        regress_ranges=((-1, 16), (16, 1e8)),
        # Its default has five levels.
        anchor_generator=dict(
            type='AnchorGenerator',
            ratios=[1.0],
            octave_base_scale=2,
            scales_per_octave=1,
            center_offset=0.0,
            strides=[2])))
