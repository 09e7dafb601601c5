"""BAFE-Net: clustered infrared small target detection with background semantics, on MMDetection.

``import bafenet`` changes mmcv, mmengine and mmdet (compat/) and registers every part with mmdet's registries;
``bafenet.load('bafenet_hr_tiny')`` gives a trained network.
"""
from . import compat

compat.install()  # First: importing mmdet needs the operators.

from . import apis, datasets, engine, evaluation, models, visualization  # noqa: E402
from ._version import __version__  # noqa: E402
from .apis import Detector, load  # noqa: E402

__all__ = ['Detector', '__version__', 'apis', 'compat', 'datasets', 'engine', 'evaluation', 'load', 'models',
           'visualization']
