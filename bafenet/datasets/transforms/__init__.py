"""Transforms of the data pipelines: thin wrappers over ``bafenet.synthesis`` and mmdet."""
from .loading import LoadInfraredImage, LoadSkyAnnotations

__all__ = ['LoadInfraredImage', 'LoadSkyAnnotations']
