"""Heads of mmdet 3.3 that fail as they are: SSD's predictions, and PAA without scikit-learn."""
from types import SimpleNamespace
from typing import Any, NoReturn

from ..errors import InputError


def install() -> None:
    """Let SSD predict, and PAA name the package that it lacks.

    ``BaseDenseHead`` asks every head for its ``loss_cls``, which SSD, whose loss is a function, has not
    (https://github.com/open-mmlab/mmdetection/issues/11063).
    """
    # It needs the operators, which are not there when this module is read.
    from mmdet.models.dense_heads import SSDHead, paa_head
    SSDHead.loss_cls = None
    if paa_head.skm is None:
        paa_head.skm = SimpleNamespace(GaussianMixture=_missing_mixture)


def _missing_mixture(*args: Any, **kwargs: Any) -> NoReturn:
    raise InputError('PAA (PAAHead) needs the package scikit-learn: pip install scikit-learn')
