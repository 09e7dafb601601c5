"""What is changed in mmcv, mmengine and mmdet when ``import bafenet`` runs: all of it, one line each.

Nothing else in the package changes another library; registered classes (datasets, hooks, heads …) only add to it.
"""
from collections.abc import Callable
from typing import NamedTuple

from . import (
    checkpoint_loading,
    checkpoint_types,
    config_text,
    detection_heads,
    file_backend,
    inference,
    notices,
    operators,
    optimizers,
    target_masks,
)


class Change(NamedTuple):
    """One change to another library.

    Attributes:
        what: The part that is changed.
        why: What is wrong without it.
        make: Makes the change; made again, it changes nothing.
    """

    what: str
    why: str
    make: Callable[[], None]


# In this order: importing mmdet needs the operators, and may print.
CHANGES = (
    Change('mmcv._ext', 'mmcv-lite has no compiled operators (nms, RoIAlign, deformable convolution …)',
           operators.install),
    Change('warnings filters, standard output', 'mmdet and mmcv call torch.meshgrid and torch.addmm in old ways, of '
           'which PyTorch warns in every run; onedl-mmdetection says what nobody asked', notices.install),
    Change('torch.serialization safe globals', "weights_only=True refuses the types in mmengine's checkpoints",
           checkpoint_types.install),
    Change('mmengine.runner.CheckpointLoader', 'it unpickles what a file or a download holds; names of shipped weights '
           'are no files', checkpoint_loading.install),
    Change('mmengine.Config.fromstring', 'it executes the config that a checkpoint holds', config_text.install),
    Change("mmengine.fileio backend 'local'", 'a run that is killed leaves half a file', file_backend.install),
    Change('mmdet.registry.OPTIMIZERS', 'it has no Prodigy, and DAdaptAdam only where its package is installed',
           optimizers.install),
    Change('mmdet.apis inference_detector, DetInferencer', "they load images by mmcv's loader, which cuts 16 bits to 8 "
           'and fits no test pipeline of ours; weights that do not fit are loaded in part; sky maps are left out',
           inference.install),
    Change('mmdet.datasets.transforms Resize, RandomFlip', 'they move sky maps with the image, and no target '
           'masks', target_masks.install),
    Change('mmdet.models SSDHead, paa_head', 'SSD cannot predict; PAA without scikit-learn names a package that does '
           'not exist', detection_heads.install),
)


def install() -> None:
    """Make all changes, in the order of :data:`CHANGES`."""
    for change in CHANGES:
        change.make()
