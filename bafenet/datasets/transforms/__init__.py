"""Transforms of the data pipelines: thin wrappers over ``bafenet.synthesis`` and mmdet."""
from .bag_copy_paste import BAGCopyPaste
from .loading import LoadInfraredImage, LoadSkyAnnotations, PackInfraredInputs

__all__ = ['BAGCopyPaste', 'LoadInfraredImage', 'LoadSkyAnnotations', 'PackInfraredInputs']
