"""Transforms of the data pipelines: thin wrappers over ``bafenet.synthesis`` and mmdet."""
from .bag_copy_paste import BAGCopyPaste
from .crops import BalancedCrop
from .intensity import IntensityJitter
from .loading import LoadInfraredImage, LoadSkyAnnotations, PackInfraredInputs

__all__ = ['BAGCopyPaste', 'BalancedCrop', 'IntensityJitter', 'LoadInfraredImage', 'LoadSkyAnnotations',
           'PackInfraredInputs']
