"""Trained networks for use in a user's own code: ``bafenet.load``, the Detector, results and readers of frames."""
from ..devkit.frames import Frame, read_frame, read_frames
from ..devkit.grey_levels import GreyLevels
from .detector import Detector, load
from .result import Result
from .settings import Settings

__all__ = ['Detector', 'Frame', 'GreyLevels', 'Result', 'Settings', 'load', 'read_frame', 'read_frames']
