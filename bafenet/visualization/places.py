"""Places of a frame that are worth an inset: clusters of boxes and lone boxes, which come first, what they show."""
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .outcomes import FALSE_ALARM, MISS, Outcomes

# Side of an inset in screen pixels, and how many times it may enlarge: whole pixels of the frame fill it.
INSET = 240
FACTORS = np.array([12, 10, 8, 6, 5, 4, 3, 2, 1])
# Pixels of the frame: between centres of one cluster; across the centres of one place, so that 8 times is enough; seen
# around the boxes.
REACH, ACROSS, AROUND = 12, 20, 3


def cluster(boxes: np.ndarray, reach: float = REACH, across: float = ACROSS) -> np.ndarray:
    """Cluster boxes by single linkage of their centres, and cut clusters that are too large for an inset evenly.

    Args:
        boxes: float (n, 4), ``[x1, y1, x2, y2]``.
        reach: Greatest distance of two centres that are linked.
        across: Greatest extent of the centres of a cluster in x and in y.

    Returns:
        int (n, ), the cluster of each box: 0, 1, …
    """
    if not len(boxes):
        return np.zeros(0, int)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    # Components of the graph of near pairs are the single linkage, cut at the reach, without all n² distances.
    pairs = cKDTree(centres).query_pairs(reach, output_type='ndarray')
    graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(boxes), len(boxes)))
    count, labels = connected_components(graph, directed=False)
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, labels, centres)
    np.maximum.at(high, labels, centres)
    parts = np.maximum(1, np.ceil((high - low) / across))
    share = (centres - low[labels]) / np.maximum(high - low, 1e-9)[labels]
    cell = np.minimum(np.floor(share * parts[labels]), parts[labels] - 1)
    return np.unique(np.column_stack([labels, cell]), axis=0, return_inverse=True)[1].ravel()


def rank(labels: np.ndarray, outcomes: Outcomes) -> np.ndarray:
    """Order places: those with misses first, then those with false alarms, then all by their highest score.

    Args:
        labels: int (n, ), see :func:`cluster`.
        outcomes: The n boxes.

    Returns:
        int (places, ), the first one first.
    """
    count = int(labels.max(initial=-1)) + 1
    missed, false = (np.bincount(labels[outcomes.outcome == kind], minlength=count) > 0 for kind in (MISS, FALSE_ALARM))
    best = np.zeros(count)
    np.maximum.at(best, labels, np.nan_to_num(outcomes.scores))
    return np.lexsort((-best, ~false, ~missed))


def regions(labels: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The square part of the frame that the inset of each place shows.

    Args:
        labels: int (n, ), see :func:`cluster`.
        boxes: float (n, 4).
        size: Width and height of the frame.

    Returns:
        int (places, 4), ``[x1, y1, x2, y2]`` inside the frame, smaller than square only where the frame is; and
        int (places, ), how many times each is enlarged: 8 to 12, and less where boxes are larger than that allows.
    """
    count = int(labels.max(initial=-1)) + 1
    low, high = np.full((count, 2), np.inf), np.full((count, 2), -np.inf)
    np.minimum.at(low, labels, boxes[:, :2])
    np.maximum.at(high, labels, boxes[:, 2:])
    needed = (np.ceil(high) - np.floor(low)).max(axis=1, initial=0) + 2 * AROUND
    sides = INSET // FACTORS
    chosen = np.minimum((sides[None] < needed[:, None]).sum(axis=1), len(sides) - 1)
    side = sides[chosen][:, None]
    corner = np.floor((low + high - side) / 2 + 0.5).astype(int)
    frame = np.array(size)
    corner = np.clip(corner, 0, np.maximum(frame - side, 0))
    return np.concatenate([corner, np.minimum(corner + side, frame)], axis=1), FACTORS[chosen]
