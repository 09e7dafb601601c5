"""Evaluation: mAP, recall, false alarms and sky IoU (metric.py), their table, and the results file."""
from .metric import DenseSIRSTMetric
from .report import print_metrics

__all__ = ['DenseSIRSTMetric', 'print_metrics']
