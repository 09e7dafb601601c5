"""The two threshold rules of publications."""
import numpy as np

from bafenet.classical import RULES


def test_rules():
    response = np.array([[0.0, 0, 0, 4]])
    assert RULES['A'](response) == 2.8 and RULES['B'](response) == 2.0
    flat = np.array([[3.0, 4, 4, 5]])  # mean 4, standard deviation 0.707
    assert RULES['A'](flat) == 4 + 0.5 * np.sqrt(0.5)
