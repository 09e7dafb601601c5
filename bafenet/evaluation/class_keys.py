"""Keys of the metrics of single classes, as AP_12_drone: made from class names, and taken apart again."""
import re
from collections.abc import Iterable, Mapping, Sequence

# Metric of one class, without class and suffix of the boxes' convention, and what a person reads.
CLASS_ROWS = {
    'targets': 'targets',
    'AP_07': 'AP_07 (IoU 0.5)',
    'AP_12': 'AP_12 (IoU 0.5)',
    'recall': 'recall (IoU 0.5)',
    'AP_07_iou75': 'AP_07 (IoU 0.75)',
    'AP_12_iou75': 'AP_12 (IoU 0.75)',
    'recall_iou75': 'recall (IoU 0.75)',
}
_LONGEST = 40  # characters; a best checkpoint has the key in its name
# What a key could not be taken apart with, and the names that stand in.
_AMBIGUOUS = re.compile(r'_*|iou75.*|(.*_)?legacy|class\d+', re.IGNORECASE)
_CLASS_KEY = re.compile(rf'({"|".join(sorted(CLASS_ROWS, key=len, reverse=True))})_(?!iou75)([\w.+-]+)')


def class_keys(classes: Sequence[str]) -> list[str]:
    """What stands for each class in keys: its name, with ``_`` for whatever is no letter, digit, ``-``, ``+`` or ``.``.

    A name is cut to 40 characters. Where two become alike, in capitals or not, or one could be taken for a part of the
    key (``legacy``), ``class0``, ``class1`` … stand in, by the number of the class.

    Args:
        classes: Names of the classes, K of them.

    Returns:
        K different names.
    """
    names = [re.sub(r'[^\w.+-]+', '_', str(name))[:_LONGEST] for name in classes]
    folded = [name.casefold() for name in names]
    return [f'class{label}' if _AMBIGUOUS.fullmatch(name) or folded.count(folded[label]) > 1 else name
            for label, name in enumerate(names)]


def keys_of_classes(classes: Sequence[str]) -> list[str]:
    """The keys of all metrics of single classes, without prefix; none of one class alone."""
    return [f'{row}_{name}' for name in class_keys(classes) for row in CLASS_ROWS] if len(classes) > 1 else []


def split_class_key(key: str) -> tuple[str, str] | None:
    """Metric, one of :data:`CLASS_ROWS`, and class of a key without prefix and ``_legacy``; None of another key."""
    found = _CLASS_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None


def by_class(values: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Values of single classes by class and by :data:`CLASS_ROWS`; other keys are left out.

    Args:
        values: Metrics by key without prefix and ``_legacy``.
    """
    found: dict[str, dict[str, float]] = {}
    for key, value in values.items():
        if parts := split_class_key(key):
            found.setdefault(parts[1], {})[parts[0]] = value
    return found


def class_columns(of_classes: Iterable[Mapping[str, float]]) -> dict[str, str]:
    """The :data:`CLASS_ROWS` that some class has a value of, and what a person reads for them."""
    present = {row for values in of_classes for row in values}
    return {row: label for row, label in CLASS_ROWS.items() if row in present}


def class_text(row: str, value: float) -> str:
    """A value of :data:`CLASS_ROWS` as text: targets are counted, the others are in [0, 1]."""
    return f'{value:.0f}' if row == 'targets' else f'{value:.3f}'
