"""What a SIRSTdevkit is, in NumPy, OpenCV and Pillow: its layout, reading, writing, checking and measuring it.

The check, the statistics and the recordings use SciPy, Rich and Matplotlib too, so each is imported by its module.
"""
from .images import any_sky, image_size, read_grey, read_image, read_mask, read_sky, require_palette_sky, require_size
from .layout import find_layout, find_split
from .read import Annotation, BoxObject, is_plain_name, read_annotation, read_boxes, read_names, read_split

__all__ = [
    'Annotation', 'BoxObject', 'any_sky', 'find_layout', 'find_split', 'image_size', 'is_plain_name', 'read_annotation',
    'read_boxes', 'read_grey', 'read_image', 'read_mask', 'read_names', 'read_sky', 'read_split',
    'require_palette_sky', 'require_size',
]
