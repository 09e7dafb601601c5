"""Warnings of mmdet's that tell a user nothing which he could act on, silenced by their text."""
import warnings


def install() -> None:
    """Silence PyTorch's note that ``torch.meshgrid``, as mmdet's point and anchor generators call it, may change."""
    warnings.filterwarnings('ignore', 'torch.meshgrid: in an upcoming release', UserWarning)
