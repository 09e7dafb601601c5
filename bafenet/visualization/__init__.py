"""Pictures for people: overlays of boxes and sky, contact sheets, training curves."""
from .browse import write_contact_sheet
from .drawing import draw_sample, save_panel
from .overlay import draw_overlay
from .panel_hook import TestPanelHook
from .visualizer import SkyLocalVisualizer

__all__ = ['SkyLocalVisualizer', 'TestPanelHook', 'draw_overlay', 'draw_sample', 'save_panel', 'write_contact_sheet']
