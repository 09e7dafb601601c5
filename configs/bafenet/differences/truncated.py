# BAG-CP after the resize, and every box truncated to whole pixels, as in the release.
_base_ = './_base_/{{$BAFENET_PROTOCOL:ours}}.py'

paste, resize = _base_.bag_cp_pipeline[2:4]
paste.update(truncate_boxes=True)
pipeline = _base_.bag_cp_pipeline
pipeline[2:4] = [resize, paste]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
