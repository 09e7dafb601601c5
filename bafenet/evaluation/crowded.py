"""Images with more true targets than the network keeps detections: a warning, and how many the run's config keeps."""
import ast
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.logging import MessageHub, print_log

_MOST = 10**9  # more is no number of boxes


def warn_of_crowded_images(results: Sequence[dict[str, Any]]) -> None:
    """Warn once of images with more true boxes than detections are kept: their recall stays below 1.

    The number kept is ``max_per_img`` of the run's config. Outside a run it is not known; then it is the most of any
    image, and a crowded image counts if that is what was kept of it.

    Args:
        results: Of each image ``scores`` (N,) of its detections and ``gt_boxes`` (G, 4).
    """
    found, known = max_per_img(), True
    key, limit = found if found else ('', 0)
    if not found:
        limit, known = max((len(result['scores']) for result in results), default=0), False
    crowded = sum(len(result['gt_boxes']) > limit and (known or len(result['scores']) == limit) for result in results)
    if limit and crowded:
        kept = f'{key}={limit}' if known else (
            f'the {limit} that were kept at most, perhaps by model.test_cfg.max_per_img')
        print_log(f'{crowded} of {len(results)} images have more true targets than {kept}: the rest is missed '
                  f'whatever the network finds; set {key or "model.test_cfg.max_per_img"} to more',
                  logger='current', level=logging.WARNING)


def max_per_img() -> tuple[str, int] | None:
    """What the config of the run, which mmengine keeps as text in the message hub, keeps of an image.

    Returns:
        The dotted key and the number; None outside a run, and where the config does not say it. Of a detector of two
        stages the last one's: the first one's proposals are no detections.
    """
    text = MessageHub.get_current_instance().runtime_info.get('cfg')
    if not isinstance(text, str):
        return None
    try:
        models = [node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)
                  and [getattr(target, 'id', '') for target in node.targets] == ['model']]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = [one for model in models for one in _limits(model, 'model', False)]
    last = [one for one in found if '.rcnn.' in one[0]] or found
    return max(last, key=lambda one: one[1], default=None)


def _limits(node: ast.expr, key: str, tests: bool) -> Iterator[tuple[str, int]]:
    """Dotted key and value of each ``max_per_img`` below a ``test_cfg`` of a dict as it is written."""
    for name, value in _entries(node):
        if tests and name == 'max_per_img' and isinstance(value, ast.Constant) and type(value.value) is int:
            if 0 < value.value < _MOST:
                yield f'{key}.{name}', value.value
        else:
            yield from _limits(value, f'{key}.{name}', tests or name == 'test_cfg')


def _entries(node: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'dict':
        yield from ((keyword.arg, keyword.value) for keyword in node.keywords if keyword.arg)
    elif isinstance(node, ast.Dict):
        yield from ((key.value, value) for key, value in zip(node.keys, node.values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str))
