"""Trained networks for use in a user's own code."""
from .detector import Detector, load

__all__ = ['Detector', 'load']
