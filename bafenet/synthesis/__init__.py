"""Synthesis of clustered small targets, of scenes and of SIRST-5K, in NumPy, OpenCV and SciPy alone."""
from .clusters import PastedTargets, TargetLibrary, paste_clusters, paste_targets, place_clusters
from .gaussian import blend, draw_weights, gaussian_weights, mask_boxes, visible_mask
from .placement import place_regions, place_targets, region_corners
from .recipe import ClusterRecipe

__all__ = [
    'ClusterRecipe', 'PastedTargets', 'TargetLibrary', 'blend', 'draw_weights', 'gaussian_weights', 'mask_boxes',
    'paste_clusters', 'paste_targets', 'place_clusters', 'place_regions', 'place_targets', 'region_corners',
    'visible_mask',
]
