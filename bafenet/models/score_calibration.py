"""Calibrated scores: a monotone, piecewise linear map that makes a score the share of right boxes among its like.

``test_cfg.calibration`` of a :class:`~bafenet.models.small_target_head.SmallTargetHead` is
``dict(scores=[…], shares=[…], likely=0.6)``: knots of the map, ascending and strictly between 0 and 1; 0 stays 0 and 1
stays 1. ``likely``, which may be left out, is the lowest calibrated score of a likely target, from which
``tools/predict.py`` shows boxes by default. None, False or no entry leaves scores as they are. How the knots are found:
analysis/calibration.py.
"""
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arguments import is_number, shown
from ..errors import InputError

KEY = 'calibration'
# Through a flatter piece no score could be told from its calibrated one (an ONNX file has these in float32).
MIN_SLOPE = 1e-3
MAX_KNOTS = 64
WORDS = ('None, False or dict(scores=[…], shares=[…]), two ascending lists of numbers between 0 and 1, and perhaps '
         'likely=…, a number from 0 to 1')
Calibration = Mapping[str, Any]


def fault_of(calibration: Any) -> str | None:
    """What is wrong with a value of ``test_cfg.calibration``, of any type; None where nothing is."""
    if calibration is None or calibration is False:
        return None
    if not isinstance(calibration, Mapping) or not {'scores', 'shares'} <= set(calibration) <= {'scores', 'shares',
                                                                                               'likely'}:
        return f'must be {WORDS}'
    lists = {key: calibration[key] for key in ('scores', 'shares')}
    for key, values in lists.items():
        if not isinstance(values, (list, tuple)) or not 0 < len(values) <= MAX_KNOTS or not all(map(is_number, values)):
            return f'{key}={shown(values)} must be a list of 1 to {MAX_KNOTS} numbers'
        ascending = [0, *values, 1]
        if not all(low < high for low, high in zip(ascending, ascending[1:], strict=False)):
            return f'{key}={shown(values)} must ascend, each number above 0 and below 1'
    if len(lists['scores']) != len(lists['shares']):
        return f'scores has {len(lists["scores"])} numbers and shares {len(lists["shares"])}: give as many'
    scores, shares = knots_of(calibration)
    if (np.diff(shares) < MIN_SLOPE * np.diff(scores)).any():
        return f'shares must rise at least {MIN_SLOPE:g} as fast as scores everywhere, and do not'
    likely = calibration.get('likely')
    if likely is not None and not (is_number(likely) and 0 <= likely <= 1):
        return f'likely={shown(likely)} must be a number from 0 to 1'
    return None


def require_calibration(calibration: Any, owner: str = 'test_cfg') -> None:
    """Check a value of ``test_cfg.calibration``.

    Args:
        calibration: The value, of any type.
        owner: What it is an entry of, for the message.

    Raises:
        InputError: If it is none of those that the module's first lines name.
    """
    fault = fault_of(calibration)
    if fault:
        raise InputError(f'{owner}.{KEY}: {fault}')


def knots_of(calibration: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """Scores and shares of the knots with both ends, float64 (K + 2, ) each, from 0 to 1."""
    scores, shares = (np.array([0, *calibration[key], 1], np.float64) for key in ('scores', 'shares'))
    return scores, shares


def calibrate(scores: Tensor, calibration: Calibration | bool | None) -> Tensor:
    """Calibrated scores; their order stays.

    Args:
        scores: Scores of the network in [0, 1], float, any shape.
        calibration: The map, checked; None or False for none.

    Returns:
        A tensor in [0, 1] of the shape of ``scores``; float64 where there is a map, since float32 has too few numbers
        near 1 to keep scores apart that it squeezes together there.
    """
    if not calibration or isinstance(calibration, bool):
        return scores
    low, values = (torch.from_numpy(knots).to(scores.device) for knots in knots_of(calibration))
    widths, heights = low.diff(), values.diff()
    # What each piece has below a score, summed: ONNX has no search among knots.
    parts = torch.minimum((scores.double()[..., None] - low[:-1]).clamp(min=0), widths)
    return (parts * (heights / widths)).sum(-1).clamp(0, 1)


def uncalibrate(scores: Any, calibration: Calibration | bool | None) -> Any:
    """The network's scores that :func:`calibrate` gives these for: a number or an array of NumPy in [0, 1]."""
    if not calibration or isinstance(calibration, bool):
        return scores
    raw, shares = knots_of(calibration)
    return np.interp(scores, shares, raw)


def likely_score(calibration: Calibration | bool | None) -> float | None:
    """The lowest calibrated score of a likely target; None where it is not known."""
    likely = None if not calibration or isinstance(calibration, bool) else calibration.get('likely')
    return None if likely is None else float(likely)
