"""The layouts of a SIRSTdevkit and of SIRST-V2: recognised by their folders, and what is missing is named."""
import shutil

import pytest

from bafenet.devkit import find_layout, read_split
from bafenet.devkit.layout import image_names
from bafenet.errors import InputError


@pytest.fixture
def sirst_v2(tmp_path):
    """The folders of SIRST-V2 as published."""
    root = tmp_path / 'sirst_v2'
    for folder in ('mixed', 'annotations/masks', 'annotations/bboxes', 'splits'):
        (root / folder).mkdir(parents=True)
    return root


def test_a_folder_of_neither_layout_is_an_error(tmp_path):
    with pytest.raises(InputError, match='neither a SIRSTdevkit .* nor SIRST-V2'):
        find_layout(tmp_path)
    with pytest.raises(InputError, match='nowhere: no such folder'):
        find_layout(tmp_path / 'nowhere')


def test_what_is_no_devkit_is_answered_by_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match='PNGImages: no image; give a devkit, which has images in PNGImages and box '
                       r'XMLs in SIRST/BBox; .*convert.* makes one') as caught:
        image_names(tmp_path)
    assert 'SkySeg' not in str(caught.value)


@pytest.mark.parametrize('text, message', [
    (None, r'no such split; there are: mine, test_v2'), ('', 'names no image'), ('a\n../b', "'../b' is not an image"),
    ('a\\b', 'is not an image name'), (b'\xff\xfe\x00', 'cannot be read as text')])
def test_bad_splits_are_named(devkit, tmp_path, text, message):
    root = shutil.copytree(devkit, tmp_path / 'kit')
    path = root / 'Splits/mine.txt'
    path.write_bytes(text if isinstance(text, bytes) else (text or '').encode())
    with pytest.raises(InputError, match=message):
        read_split(find_layout(root).split('mine' if text is not None else 'other'))


def test_sky_maps_of_a_layout_and_of_a_folder_of_their_own(devkit, sirst_v2, tmp_path):
    assert find_layout(devkit).sky_map('scene_3') == devkit / 'SkySeg/PaletteMask/scene_3.png'
    with pytest.raises(InputError, match='--sky'):
        find_layout(sirst_v2).sky_map('scene_3')
    own = tmp_path / 'sky'
    own.mkdir()
    (own / 'scene_3_pixels0.png').touch()
    for root in (devkit, sirst_v2):
        layout = find_layout(root, own)
        assert layout.sky_map('scene_3') == own / 'scene_3_pixels0.png'
        with pytest.raises(InputError, match='scene_4.*no such sky map'):
            layout.sky_map('scene_4')


def test_names_are_sorted_and_without_leavings(devkit, tmp_path):
    root = shutil.copytree(devkit, tmp_path / 'kit')
    (root / 'PNGImages/._scene_1.png').touch()
    (root / 'PNGImages/notes.txt').touch()
    assert find_layout(root).names() == sorted(f'scene_{index}' for index in range(12))
