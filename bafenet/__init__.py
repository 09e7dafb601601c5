"""BAFE-Net: clustered infrared small target detection with background semantics, on MMDetection.

``import bafenet`` provides the operators that mmcv-lite lacks and registers every part with mmdet's registries.
"""
# First: importing mmdet needs the operators.
from . import mmcv_ops  # noqa: F401, I001
from . import datasets, engine, evaluation, models, visualization

__version__ = '0.1.0'
__all__ = ['datasets', 'engine', 'evaluation', 'models', 'visualization']
