"""Notes of mmdet's and mmcv's that tell a user nothing which he could act on, silenced by their text."""
import importlib
import io
import warnings
from contextlib import redirect_stdout

_PRINTS = 'mmdet.datasets'
_PRINTED = 'Could not import OneDL. Skipping OneDL datasets.'


def install() -> None:
    """Silence PyTorch's notes that calls of mmdet's and mmcv's may change, and what onedl-mmdetection says.

    They are ``torch.meshgrid`` in mmdet's point and anchor generators and ``torch.addmm`` in mmcv's ``MaskedConv2d``.
    That fork of mmdet warns of a package that one of its metrics needs, and prints a line on the standard output, where
    our results go, whenever it is imported.
    """
    warnings.filterwarnings('ignore', 'torch.meshgrid: in an upcoming release', UserWarning)
    warnings.filterwarnings('ignore', 'This overload of addmm is deprecated', UserWarning)
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed', UserWarning)
    printed = io.StringIO()
    with redirect_stdout(printed):
        importlib.import_module(_PRINTS)
    for line in printed.getvalue().splitlines():
        if line != _PRINTED:
            print(line)
