"""A validation split that is drawn: a tenth by recording, balanced, repeatable; a run of frames where it must be."""
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / 'engine'))
from own_devkits import own_devkit

from bafenet.devkit.recordings import prefix
from bafenet.devkit.validation_split import draw_validation
from bafenet.errors import InputError


def named(recordings, frames):
    return [f'{chr(97 + number)} v1.{number}_{frame}' for number in range(recordings) for frame in range(frames)]


def test_no_recording_is_on_both_sides_and_about_a_tenth_is_kept_back(tmp_path):
    names = named(20, 3)
    root = own_devkit(tmp_path / 'kit', names, suffix='.tif')
    train, val, how = draw_validation(root, names, [3] * 60, seed=1)
    assert sorted(train + val) == sorted(names) and not set(map(prefix, train)) & set(map(prefix, val))
    assert 3 <= len(val) <= 9 and 'by recording' in how
    assert (train, val, how) == draw_validation(root, names[::-1], [3] * 60, seed=1)


@pytest.mark.parametrize('frames', [2, 3, 10, 25])
def test_one_recording_gives_frames_that_follow_each_other(frames, tmp_path):
    names = [f'night_{frame:03}' for frame in range(frames)]
    root = own_devkit(tmp_path / 'kit', names, scenes=[0] * frames)
    train, val, how = draw_validation(root, names, [3] * frames)
    assert len(val) == max(round(frames / 10), 1) and len(train) + len(val) == frames
    numbers = sorted(names.index(name) for name in val)
    assert numbers == list(range(numbers[0], numbers[0] + len(val))) and 'figures are too good' in how


def test_a_validation_has_targets_and_leaves_some(tmp_path):
    names, targets = [f'night_{frame:03}' for frame in range(20)], [0] * 20
    targets[4] = targets[12] = 2
    root = own_devkit(tmp_path / 'kit', names, targets=targets, scenes=[0] * 20)
    train, val, _ = draw_validation(root, names, targets)
    count = dict(zip(names, targets, strict=True))
    assert sum(map(count.get, val)) == sum(map(count.get, train)) == 2
    for few in (np.zeros(20, int).tolist(), [0] * 19 + [5]):
        with pytest.raises(InputError, match='fewer than 2 of its 20 training frames have targets'):
            draw_validation(root, names, few)
