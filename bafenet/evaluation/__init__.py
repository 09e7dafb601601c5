"""Evaluation: mAP, recall, false alarms and sky IoU (metric.py), of target masks (irstd.py), tables, results file."""
from .irstd_metric import IRSTDMetric
from .metric import DenseSIRSTMetric
from .report import print_metrics

__all__ = ['DenseSIRSTMetric', 'IRSTDMetric', 'print_metrics']
