"""What a SIRSTdevkit is, in the standard library, NumPy and Pillow alone: reading its files."""
from .images import image_size, read_grey, read_image, read_mask, require_palette_sky, require_size
from .read import CORNERS, Annotation, BoxObject, is_plain_name, read_annotation, read_boxes, read_names, read_split

__all__ = [
    'CORNERS', 'Annotation', 'BoxObject', 'image_size', 'is_plain_name', 'read_annotation', 'read_boxes', 'read_grey',
    'read_image', 'read_mask', 'read_names', 'read_split', 'require_palette_sky', 'require_size',
]
