"""Read the results file that ``tools/test.py --out`` writes."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bafenet.errors import InputError, printable
from bafenet.fields import require_dict, require_list, require_number, require_numbers, require_text, require_whole
from bafenet.reading import read_json
from bafenet_command import call_of

from .matching import Instances

WHAT = f'what {call_of("test")} --out writes'
_TEXTS = ('config', 'checkpoint', 'checkpoint_sha256', 'split')
_BOXES = ('boxes', 'gt_boxes')
# As many as there are boxes: the fields of one, their kinds of number and the largest.
_OF_BOXES = {
    'scores': ('boxes', 'iuf', 1),
    'labels': ('boxes', 'iu', 10**6),
    'in_sky': ('boxes', 'b', 1),
    'gt_labels': ('gt_boxes', 'iu', 10**6),
}
# Of IRSTDMetric: what each curve holds.
CURVES = {'roc': ('threshold', 'false_positive_rate', 'true_positive_rate'), 'detection': ('threshold', 'P_d', 'F_a')}
_MAX_COORDINATE = 1e6  # pixels
_MAX_PIXELS = 2**40


def read_results(path: str, keys: Sequence[str] = (), image_keys: Sequence[str] = ()) -> dict:
    """Read a file of results, and check every field of it that is used here.

    Args:
        path: JSON file.
        keys: What it must hold, beside ``images``.
        image_keys: What each of its images must hold.

    Returns:
        The content.

    Raises:
        InputError: If the file cannot be read, something is absent, or a field is of another type, length or range.
    """
    content = read_json(path, WHAT)
    try:
        require_dict(content, 'it')
        absent = {*keys, 'images'} - set(content)
        images = [require_dict(image, f'images[{i}]')
                  for i, image in enumerate(require_list(content.get('images', []), 'images'))]
        # From the first image that lacks something.
        in_images = next(filter(None, (set(image_keys) - set(image) for image in images)), ())
        if not absent and not in_images:
            _check_fields(content, images)
    except InputError as error:
        raise InputError(f'{printable(path)}: not {WHAT} ({error}); give such a file') from None
    if set(in_images) & {*_BOXES, *_OF_BOXES} and all('target_overlap' in image for image in images):
        raise InputError(f'{printable(path)}: results of target masks, and boxes are needed here; give those of a '
                         f'detector ({call_of("report")} draws the curves of masks)')
    if absent or in_images:
        names = [*sorted(absent), *(f'{name} of its images' for name in sorted(in_images))]
        raise InputError(f'{printable(path)}: it has no {", ".join(names)}; test the checkpoint again with '
                         f'{call_of("test")} --out')
    return content


def instances_of(image: Mapping[str, Any]) -> tuple[Instances, Instances]:
    """What was found in an image of the results, and the truth."""
    boxes, truth = (np.asarray(image[key], np.float32).reshape(-1, 4) for key in _BOXES)
    labels, true_labels = (np.asarray(image[key], np.int64) for key in ('labels', 'gt_labels'))
    return Instances(boxes, labels, scores_of(image)), Instances(truth, true_labels)


def scores_of(image: Mapping[str, Any]) -> np.ndarray:
    """Scores of an image of the results as they were: float32 (N, ), and calibrated ones float64."""
    scores = np.asarray(image['scores'], np.float64)
    narrow = scores.astype(np.float32)
    return narrow if (narrow == scores).all() else scores


def class_count(pairs: Sequence[tuple[Instances, Instances]]) -> int:
    """How many classes the labels of :func:`instances_of` images make necessary, at least 1."""
    return 1 + max((int(part.labels.max(initial=0)) for pair in pairs for part in pair), default=0)


def _check_fields(content: dict, images: Sequence[dict]) -> None:
    for key in _TEXTS:
        # The sum is null where the checkpoint was an address.
        require_text(content.get(key), key, optional=key not in content or key == 'checkpoint_sha256')
    check_metrics(content.get('metrics', {}), 'metrics')
    for key, value in require_dict(content.get('environment', {}), 'environment').items():
        require_text(value, f'environment.{key}')
    check_provenance(content)
    _check_curves(require_dict(content.get('curves', {}), 'curves'))
    for i, image in enumerate(images):
        _check_image(image, f'images[{i}]')
    names = [image['img_id'] for image in images if 'img_id' in image]
    if len(set(names)) < len(names):
        raise InputError(f'images: {next(name for name in names if names.count(name) > 1)} stands there twice')


def check_provenance(content: dict) -> None:
    """Check those fields of what repeats a run that are there.

    Raises:
        InputError: If one is of another type.
    """
    for key in ('commit', 'machine', 'started', 'resolved_config'):
        require_text(content.get(key), key, optional=True)
    require_whole(content.get('seed'), 'seed', optional=True)
    require_whole(content.get('training_images'), 'training_images', optional=True)
    require_number(content.get('seconds', 0), 'seconds', 0)


def check_metrics(metrics: Any, name: str) -> None:
    """Check that metrics are finite numbers by name.

    Raises:
        InputError: If they are not.
    """
    for key, value in require_dict(metrics, name).items():
        require_number(value, f'{name}.{key}')


def _check_curves(curves: dict) -> None:
    """Check the curves of target masks: numbers of at least 0, as many of each kind."""
    for name in CURVES.keys() & curves.keys():
        curve = require_dict(curves[name], f'curves.{name}', CURVES[name])
        lengths = {len(require_numbers(curve[key], f'curves.{name}.{key}', None, 0, 10**6)) for key in CURVES[name]}
        if len(lengths) > 1:
            raise InputError(f'curves.{name}: its lists differ in length')


def _check_image(image: dict, name: str) -> None:
    """Check the fields that an image has."""
    if 'img_id' in image and not isinstance(image['img_id'], str):
        require_whole(image['img_id'], f'{name}.img_id')
    for key in {'targets', 'detected', 'alarms', 'alarm_pixels'} & image.keys():
        require_whole(image[key], f'{name}.{key}')
    for key, low in (('shape', 1), ('sky_overlap', 0), ('target_overlap', 0)):
        if key in image and len(require_numbers(image[key], f'{name}.{key}', None, low, _MAX_PIXELS, 'iu')) != 2:
            raise InputError(f'{name}.{key} must be two whole numbers')
    if 'img_path' in image:
        require_text(image['img_path'], f'{name}.img_path')
    counts = {key: len(require_numbers(image[key], f'{name}.{key}', 4, -_MAX_COORDINATE, _MAX_COORDINATE))
              for key in _BOXES if key in image}
    for key, (boxes, kinds, high) in _OF_BOXES.items():
        if key in image:
            count = len(require_numbers(image[key], f'{name}.{key}', None, 0, high, kinds))
            if count != counts.get(boxes, count):
                raise InputError(f'{name}.{key} has {count} values for {counts[boxes]} {boxes}')
