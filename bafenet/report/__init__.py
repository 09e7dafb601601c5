"""The report of runs: one HTML file of what they are, their numbers beside the paper's, curves and worst frames."""
from .build import write_report

__all__ = ['write_report']
