"""Metrics, and the table that shows them."""
from .metric import DenseSIRSTMetric
from .report import print_metrics

__all__ = ['DenseSIRSTMetric', 'print_metrics']
