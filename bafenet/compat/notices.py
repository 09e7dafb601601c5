"""Warnings of mmdet's and mmcv's that tell a user nothing which he could act on, silenced by their text."""
import warnings


def install() -> None:
    """Silence PyTorch's notes that calls of mmdet's and mmcv's may change.

    They are ``torch.meshgrid`` in mmdet's point and anchor generators, and ``torch.addmm`` in mmcv's ``MaskedConv2d``.
    """
    warnings.filterwarnings('ignore', 'torch.meshgrid: in an upcoming release', UserWarning)
    warnings.filterwarnings('ignore', 'This overload of addmm is deprecated', UserWarning)
