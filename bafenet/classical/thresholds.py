"""From a response to target pixels: the two threshold rules that publications of classical methods use."""
from .windows import Grey


def rule_a(response: Grey) -> float:
    """``max(0.7 · max, mean + 0.5 · standard deviation)`` of a frame's response."""
    return max(0.7 * float(response.max()), float(response.mean()) + 0.5 * float(response.std()))


def rule_b(response: Grey) -> float:
    """Half of a frame's largest response."""
    return 0.5 * float(response.max())


RULES = {'A': rule_a, 'B': rule_b}
