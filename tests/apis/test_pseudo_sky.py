"""``bafenet pseudo_sky``: what is written, what is never touched, going on, and the check against true maps."""
import json
import shutil

import cv2
import numpy as np
import pytest
from conftest import load_tool
from PIL import Image

import bafenet
from bafenet.apis import pseudo_sky
from bafenet.apis.pseudo_sky import NetworkOptions, decide, frame_files, write_pseudo_sky
from bafenet.apis.pseudo_sky_check import check_pseudo_sky, count, shares
from bafenet.apis.pseudo_sky_manifest import MANIFEST
from bafenet.datasets import DenseSIRSTDataset
from bafenet.errors import InputError

MAPS = 'SkySeg/PaletteMask'
WITHOUT = ('scene_0', 'scene_1', 'scene_2', 'scene_11')


@pytest.fixture
def kit(copy):
    """A devkit in which four frames have no map: two are no 8-bit PNG."""
    for name in WITHOUT:
        (copy / MAPS / f'{name}.png').unlink()
    images = copy / 'PNGImages'
    image = cv2.imread(str(images / 'scene_1.png'), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(images / 'scene_1.JPG'), image)
    cv2.imwrite(str(images / 'scene_2.tif'), image.astype(np.uint16) * 100 + 7)
    for name in ('scene_1', 'scene_2'):
        (images / f'{name}.png').unlink()
    return copy


def contents(root):
    return {file.name: file.read_bytes() for file in (root / MAPS).iterdir()}


def run(*argv):
    return load_tool('dataset/pseudo_sky.py').main([str(argument) for argument in argv])


def test_a_probability_is_decided_at_its_bounds():
    probability = np.array([[0, 0.2, 0.21], [0.79, 0.8, 1]], np.float32)
    found = decide(probability, (np.float32(0.2), np.float32(0.8)))
    assert found.dtype == np.uint8 and found.tolist() == [[0, 0, 255], [255, 1, 1]]
    assert decide(np.array([[0.5, 0.4, 0.6]]), (0.5, 0.5)).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize('bounds', [(0.9, 0.1), (-0.1, 0.5), (0.1, 1.5), (np.nan, 1), (0.1, ), ('a', 'b'), (True, 1)])
def test_bounds_out_of_range_are_refused(devkit, bounds):
    with pytest.raises(InputError, match='--bounds'):
        write_pseudo_sky(devkit, bounds=bounds)


def test_frames_without_a_map_get_what_the_network_is_sure_of(kit, capsys):
    before = contents(kit)
    assert run(kit, '--bounds', 0.2, 0.8) == 0
    after, out = contents(kit), capsys.readouterr().out
    assert set(after) - set(before) == {f'{name}.png' for name in WITHOUT}
    assert all(after[name] == data for name, data in before.items())
    detector, maps = bafenet.load('bafenet_hr_tiny'), {}
    for name, file in zip(WITHOUT, ('scene_0.png', 'scene_1.JPG', 'scene_2.tif', 'scene_11.png'), strict=True):
        sky = detector(kit / 'PNGImages' / file).sky_probability
        image = Image.open(kit / MAPS / f'{name}.png')
        maps[name] = np.asarray(image)
        assert image.mode == 'P' and image.getpalette()[3:6] == [128, 0, 0]  # Pascal VOC's colours
        assert np.array_equal(maps[name], np.where(sky >= 0.8, 1, np.where(sky <= 0.2, 0, 255)))
    decided = np.concatenate([one.ravel() for one in maps.values()])
    share, sky = (decided != 255).mean(), (decided == 1).sum() / (decided != 255).sum()
    assert 0 < share < 1
    assert '12 frames: 4 maps written, 8 have a map, which stays' in out
    assert f'all pseudo maps: {share:.1%} of the pixels decided, {sky:.1%} of these sky; 0 maps in which' in out
    assert f'bafenet_hr_tiny_densesirst.py --data {kit} --from bafenet_hr_tiny' in out
    entry = json.loads((kit / MANIFEST).read_text())
    assert set(entry['maps']) == set(WITHOUT) and entry['settings']['bounds'] == [0.2, 0.8]
    assert len(entry['settings']['weights_sha256']) == 64
    # What is written is what training reads.
    dataset = DenseSIRSTDataset(data_root=str(kit), ann_file='Splits/train_v2.txt', pipeline=[])
    assert dataset.get_data_info(0)['seg_map_path'].endswith('scene_0.png')


def test_a_second_call_writes_nothing_and_one_of_other_settings_is_refused(kit):
    write_pseudo_sky(kit, splits=['train_v2'])
    before = {file: file.stat().st_mtime_ns for file in (kit / MAPS).iterdir()}
    again = write_pseudo_sky(kit, splits=['train_v2'])
    assert (again.written, again.earlier, again.kept) == (0, 3, 5)
    with pytest.raises(InputError, match=r'has 3 pseudo maps of other settings \(bounds=\[0.1, 0.9\], and now \[0.3'):
        write_pseudo_sky(kit, bounds=(0.3, 0.7))
    assert {file: file.stat().st_mtime_ns for file in (kit / MAPS).iterdir()} == before
    assert write_pseudo_sky(kit).written == 1  # the rest


def test_replace_makes_its_own_maps_anew_and_no_other(kit):
    write_pseudo_sky(kit, bounds=(0.0, 1.0))
    drawn = kit / MAPS / 'scene_1.png'
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(drawn)  # somebody has drawn a true one
    before = contents(kit)
    summary = write_pseudo_sky(kit, bounds=(0.5, 0.5), splits=['test_v2'], replace=True)
    after = contents(kit)
    assert summary.written == 3 and summary.decided == 1
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {'scene_0.png', 'scene_2.png', 'scene_11.png'} and set(after) == set(before)
    assert set(json.loads((kit / MANIFEST).read_text())['maps']) == {'scene_0', 'scene_2', 'scene_11'}


def test_a_map_that_only_the_binary_folder_has_is_not_shadowed(kit):
    (kit / 'SkySeg/BinaryMask').mkdir(exist_ok=True)
    binary = kit / 'SkySeg/BinaryMask/scene_0_pixels0.png'
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(binary)
    data = binary.read_bytes()
    summary = write_pseudo_sky(kit)
    assert (summary.written, summary.binary) == (3, 1)
    assert binary.read_bytes() == data and not (kit / MAPS / 'scene_0.png').exists()


@pytest.mark.parametrize('fails_at', [1, 2, 4])
def test_a_call_that_was_stopped_goes_on_to_the_same_maps(kit, tmp_path, monkeypatch, fails_at):
    whole = shutil.copytree(kit, tmp_path / 'whole')
    write_pseudo_sky(whole)
    monkeypatch.setattr(pseudo_sky, '_FLUSH_MAPS', 1)
    calls = iter(range(1, 100))

    def write(path, data, real=pseudo_sky.write_bytes):
        if next(calls) == fails_at:
            raise OSError(28, 'No space left on device', str(path))
        real(path, data)

    monkeypatch.setattr(pseudo_sky, 'write_bytes', write)
    with pytest.raises(InputError, match=r'scene_\d+.png: cannot be written .*call it again'):
        write_pseudo_sky(kit)
    summary = write_pseudo_sky(kit)
    assert (summary.written, summary.earlier) == (5 - fails_at, fails_at - 1)
    assert contents(kit) == contents(whole)
    assert (kit / MANIFEST).read_text() == (whole / MANIFEST).read_text()


def test_a_frame_that_cannot_be_read_is_left_out_and_said(kit, capsys):
    (kit / 'PNGImages/scene_0.png').write_bytes(b'\x89PNG\r\n')
    assert run(kit) == 3
    out = capsys.readouterr()
    assert '12 frames: 3 maps written, 8 have a map, which stays, 1 cannot be read' in out.out
    assert 'skipped: ' in out.err and 'scene_0.png' in out.err


def test_a_devkit_without_any_sky_folder_gets_one(kit):
    shutil.rmtree(kit / 'SkySeg')
    shutil.rmtree(kit / 'Splits')
    assert write_pseudo_sky(kit).written == 12 == len(contents(kit))


def test_lists_of_frames(devkit):
    assert list(frame_files(devkit, ['val_v2'])) == ['scene_8', 'scene_9']
    assert len(frame_files(devkit, ['v2'])) == 12 == len(frame_files(devkit))
    with pytest.raises(InputError, match='--splits v3: no such list in .*; there are: test_v2, train_v2'):
        frame_files(devkit, ['v3'])


@pytest.mark.parametrize('text', [
    '[]', '{}', 'x', '{"settings": {}, "maps": {"../a": {"sha256": "0", "pixels": 1, "sky": 1, "other": 0}}}',
    '{"settings": {}, "maps": {"a": {"sha256": 0, "pixels": 1, "sky": 1, "other": 0}}}',
    '{"settings": {}, "maps": {"a": {"sha256": "0", "pixels": -1, "sky": 1, "other": 0}}}'])
def test_a_list_of_maps_that_is_none_is_refused(kit, text):
    before = contents(kit)
    (kit / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=r'pseudo_sky.json: .*delete it'):
        write_pseudo_sky(kit)
    assert contents(kit) == before


@pytest.mark.parametrize(('argv', 'message'), [
    (['absent'], 'PNGImages'), (['--bounds', '0.9', '0.1'], '--bounds'), (['--check', '--replace'], '--replace'),
    (['--json', 'x.json'], '--json'), (['--weights', 'absent.pth'], 'absent.pth'),
    (['--check', '--json', 'x.txt'], 'must end in .json'), (['--tile', '100'], 'tile is 100')])
def test_what_cannot_be_done_is_one_line(kit, argv, message, capsys):
    with pytest.raises(SystemExit) as status:
        run(*(argv if argv == ['absent'] else [kit, *argv]))
    assert status.value.code == 2 and message in capsys.readouterr().err.splitlines()[-1]
    assert not (kit / MANIFEST).exists()


# --- The check --------------------------------------------------------------------------------------------------------


def test_counts_by_hand():
    probability = np.array([[0.05, 0.05, 0.5, 0.95, 0.95, 0.95]])
    truth = np.array([[0, 1, 1, 1, 0, 255]], np.uint8)
    counts = count(probability, truth, (0.1, 0.9))
    assert counts.tolist() == [[1, 1], [1, 1], [0, 1]]
    ground = np.array([[8, 0], [0, 0], [2, 0]])
    nothing = np.array([[0, 0], [0, 0], [0, 10]])
    found = shares(np.stack([counts, ground, nothing]))
    assert found == dict(decided=12 / 25, right=10 / 12, sky_right=1 / 2, other_right=9 / 10, frames=dict(
        decided=pytest.approx((4 / 5 + 8 / 10 + 0) / 3), right=pytest.approx((2 / 4 + 1) / 2), undecided=1, below=1))


def test_the_check_writes_no_map_and_takes_true_maps_alone(kit, tmp_path, capsys):
    write_pseudo_sky(kit)
    before = {file: file.read_bytes() for file in kit.rglob('*') if file.is_file()}
    out = tmp_path / 'check.json'
    assert run(kit, '--check', '--bounds', 0.15, 0.85, '--json', out) == 0
    assert {file: file.read_bytes() for file in kit.rglob('*') if file.is_file()} == before
    report = json.loads(out.read_text())
    assert report['images'] == 8 and report['bounds'][0]['bounds'] == [0.15, 0.85]
    detector, right, decided, total = bafenet.load('bafenet_hr_tiny'), 0, 0, 0
    for number in range(3, 11):
        sky = detector(kit / f'PNGImages/scene_{number}.png').sky_probability
        truth = np.asarray(Image.open(kit / MAPS / f'scene_{number}.png'))
        for p, true in zip(sky.ravel().tolist(), truth.ravel().tolist(), strict=True):
            total += 1
            decided += p <= 0.15 or p >= 0.85
            right += (p <= 0.15 and true == 0) or (p >= 0.85 and true == 1)
    row = report['bounds'][0]
    assert (row['decided'], row['right']) == pytest.approx((decided / total, right / decided))
    assert report['bounds'][1]['bounds'] == [0.5, 0.5] and report['bounds'][1]['decided'] == 1
    table = capsys.readouterr().out
    assert f'{row["right"]:.2%}' in table and '8 frames' in table


def test_the_check_leaves_out_maps_that_say_nothing(kit):
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(kit / MAPS / 'scene_9.png')
    assert check_pseudo_sky(kit, splits=['val_v2'])['images'] == 1
    (kit / MAPS / 'scene_8.png').unlink()
    (kit / MAPS / 'scene_9.png').unlink()
    with pytest.raises(InputError, match='--check: no frame of .* has a true sky map'):
        check_pseudo_sky(kit, splits=['val_v2'])


def test_a_network_without_a_sky_branch_is_refused(kit, monkeypatch):
    detector = bafenet.load('bafenet_hr_tiny')
    detector.segments_sky = False
    monkeypatch.setattr(pseudo_sky, 'load', lambda *_: detector)
    with pytest.raises(InputError, match='--weights net.pth: this network segments no sky'):
        write_pseudo_sky(kit, NetworkOptions('net.pth'))
    assert not (kit / MANIFEST).exists()
