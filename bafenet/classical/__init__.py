"""Classical methods of infrared small target detection, for comparison: filters, local contrast, low rank.

Each takes a frame of grey values (H, W) in float64 and gives a response of the same shape; ``RULES`` are the
thresholds of a response.
"""
from collections.abc import Callable

from .filters import max_median, top_hat
from .local_contrast import lcm, mpcm, tllcm, wslcm
from .low_rank import ipi, nram
from .patch_tensor import pstnn, ript
from .thresholds import RULES, rule_a, rule_b
from .windows import Grey

METHODS: dict[str, Callable[[Grey], Grey]] = {
    'Top-Hat': top_hat, 'Max-Median': max_median, 'LCM': lcm, 'MPCM': mpcm, 'TLLCM': tllcm, 'WSLCM': wslcm,
    'IPI': ipi, 'NRAM': nram, 'RIPT': ript, 'PSTNN': pstnn}
__all__ = ['METHODS', 'RULES', 'ipi', 'lcm', 'max_median', 'mpcm', 'nram', 'pstnn', 'ript', 'rule_a', 'rule_b', 'tllcm',
           'top_hat', 'wslcm']
