"""BAFE-Net: clustered infrared small target detection with background semantics, on MMDetection.

``import bafenet`` provides the operators that mmcv-lite lacks and registers every part with mmdet's registries.
"""
# First: importing mmdet needs the operators.
from . import mmcv_ops  # noqa: F401, I001
from . import datasets, engine, evaluation, models, visualization
from ._version import __version__

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'visualization']
