"""Pictures for people: overlays with insets that enlarge small targets, contact sheets, training curves."""
from .browse import write_contact_sheet
from .drawing import tile, write_image
from .overlay import draw_overlay
from .panel_hook import TestPanelHook
from .visualizer import SkyLocalVisualizer

__all__ = ['SkyLocalVisualizer', 'TestPanelHook', 'draw_overlay', 'tile', 'write_contact_sheet', 'write_image']
