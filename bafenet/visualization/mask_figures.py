"""Draw curves of target masks: the ROC of their pixels, and targets detected against pixels of false alarms.

The numbers are those of ``IRSTDMetric``. Each ``draw_*`` fills one pair of axes.
"""
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from .run_styles import line_style, style

# By run: what IRSTDMetric calls a curve, lists of equal length by name.
Curves = Mapping[str, Mapping[str, list[float]]]


def draw_roc(axes: Axes, runs: Curves) -> None:
    """Draw the true positive rate of all pixels against the false positive rate, on a logarithmic axis.

    Args:
        axes: Where to draw.
        runs: Curves ``roc`` by label.
    """
    lowest = 1.0
    for number, one in enumerate(runs.values()):
        rate = np.array(one['false_positive_rate'])
        lowest = min(lowest, rate[rate > 0].min(initial=1.0))
        axes.step(rate, one['true_positive_rate'], where='post', linewidth=1.5, **line_style(number))
    # Nearly all pixels are background, and a linear axis would show one corner.
    axes.set_xscale('log')
    axes.set(xlabel='false positive rate of pixels', ylabel='true positive rate of pixels', xlim=(lowest / 2, 1.2),
             ylim=(0, 1.03), title='ROC of target pixels')
    _finish(axes)


def draw_detection(axes: Axes, runs: Curves) -> None:
    """Draw P_d against F_a over thresholds of the probability; a mark is at the threshold nearest to 0.5.

    Args:
        axes: Where to draw.
        runs: Curves ``detection`` by label.
    """
    for number, one in enumerate(runs.values()):
        axes.plot(one['F_a'], one['P_d'], linewidth=1.5, **line_style(number))
        if one['threshold']:
            half = int(np.abs(np.array(one['threshold']) - 0.5).argmin())
            axes.plot(one['F_a'][half], one['P_d'][half], markersize=6, **style(number))
    axes.set_xscale('symlog', linthresh=1)
    axes.set(xlabel='F_a, 1e-6 (mark: threshold 0.5)', ylabel='P_d, %', ylim=(0, 103), xlim=(0, None),
             title='targets detected, and false alarms')
    _finish(axes)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
