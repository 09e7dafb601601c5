"""The digest of a split with target masks: names and masks of its part, wherever the data lie."""
import hashlib
import shutil

import cv2
import pytest
from mask_frames import write_mask_frames

from bafenet.errors import InputError
from bafenet.reproduction.data import describe_data


@pytest.fixture
def data(tmp_path):
    return write_mask_frames(tmp_path / 'data', train=6, test=3)


def described(root, split='train', **more):
    settings = dict(type='SIRSTSegDataset', data_root=str(root), ann_file=f'splits/{split}.txt', pipeline=[], **more)
    return describe_data(settings)


def test_it_is_of_names_and_masks(data, tmp_path):
    names = [f'{number:06}' for number in range(6)]
    masks = [(data / 'masks' / f'{name}.png').read_bytes() for name in names]
    expected = hashlib.sha256('\n'.join(names).encode() + b'\0'.join(masks)).hexdigest()
    assert described(data) == dict(ann_file='splits/train.txt', images=6, sha256=expected)
    copy = shutil.copytree(data, tmp_path / 'copy')
    assert described(copy, test_mode=True) == described(data)
    mask = cv2.imread(str(copy / 'masks/000001.png'), cv2.IMREAD_GRAYSCALE)
    other = shutil.copytree(copy, tmp_path / 'other')
    cv2.imwrite(str(other / 'masks/000001.png'), mask[::-1])
    assert described(other)['sha256'] != expected and described(other, 'test') == described(data, 'test')


def test_parts_of_a_split_are_known_apart(data):
    parts = [described(data, holdout=2, held_out=held) for held in (False, True)]
    assert [part['images'] for part in parts] == [4, 2]
    assert len({part['sha256'] for part in (*parts, described(data), described(data, holdout=2, holdout_seed=5))}) == 4


def test_data_that_cannot_be_read_are_one_line(data, tmp_path):
    with pytest.raises(InputError, match='absent: no such data folder; give it by --data'):
        described(tmp_path / 'absent')
    (data / 'masks/000002.png').unlink()
    with pytest.raises(InputError, match='000002.png: it has no target mask; .*; check --data'):
        described(data)
