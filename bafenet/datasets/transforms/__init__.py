"""Transforms of the data pipelines: thin wrappers over ``bafenet.synthesis`` and mmdet."""
from .bag_copy_paste import BAGCopyPaste
from .crops import BalancedCrop
from .geometry import RandomTranspose
from .intensity import IntensityJitter
from .loading import LoadInfraredImage, LoadSkyAnnotations, LoadTargetMask, PackInfraredInputs
from .sirst5k import NegativeAugmentation, NoiseDisplacement

__all__ = ['BAGCopyPaste', 'BalancedCrop', 'IntensityJitter', 'LoadInfraredImage', 'LoadSkyAnnotations',
           'LoadTargetMask', 'NegativeAugmentation', 'NoiseDisplacement', 'PackInfraredInputs', 'RandomTranspose']
