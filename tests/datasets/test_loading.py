"""Loading with and without the cache of decoded files."""
import cv2
import numpy as np
import pytest
from conftest import write_palette
from mmdet.registry import TRANSFORMS

from bafenet.errors import InputError


@pytest.fixture
def sample(tmp_path):
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 255, (40, 50), dtype=np.uint8)
    colour = rng.integers(0, 255, (40, 50, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / 'grey.png'), grey)
    cv2.imwrite(str(tmp_path / 'colour.png'), colour)
    sky = (rng.random((40, 50)) > 0.5).astype(np.uint8)
    write_palette(tmp_path / 'sky.png', sky)
    return dict(root=tmp_path, grey=np.repeat(grey[..., None], 3, axis=2), colour=colour, sky=sky)


def load(loader, path):
    return loader(dict(img_path=str(path), seg_map_path=str(path), instances=[]))


@pytest.mark.parametrize('kind', ['grey', 'colour'])
@pytest.mark.parametrize('cache_mb', [0, 1])
def test_images_are_the_same_from_the_cache_and_may_be_written_to(sample, kind, cache_mb):
    loader = TRANSFORMS.build(dict(type='LoadInfraredImage', cache_mb=cache_mb))
    path = sample['root'] / f'{kind}.png'
    for _ in range(3):
        results = load(loader, path)
        np.testing.assert_array_equal(results['img'], sample[kind])
        assert results['img_shape'] == results['ori_shape'] == (40, 50)
        results['img'][:] = 0
    path.unlink()
    if cache_mb:
        np.testing.assert_array_equal(load(loader, path)['img'], sample[kind])
    else:
        with pytest.raises(InputError):
            load(loader, path)


def test_sky_maps_likewise(sample):
    loader = TRANSFORMS.build(dict(type='LoadSkyAnnotations', cache_mb=1))
    path = sample['root'] / 'sky.png'
    first = load(loader, path)
    first['gt_seg_map'][:] = 7
    path.unlink()
    again = load(loader, path)
    np.testing.assert_array_equal(again['gt_seg_map'], sample['sky'])
    assert again['ignore_index'] == first['ignore_index']


def test_the_cache_keeps_to_its_bound(sample):
    # A grey image takes 2000 bytes as one channel, so that two fit into 5000.
    loader = TRANSFORMS.build(dict(type='LoadInfraredImage', cache_mb=5000 / 2**20))
    paths = [sample['root'] / f'{i}.png' for i in range(4)]
    for path in paths:
        path.write_bytes((sample['root'] / 'grey.png').read_bytes())
        load(loader, path)
        path.unlink()
    found = []
    for path in paths:
        try:
            found.append(load(loader, path)['img'].shape == (40, 50, 3))
        except InputError:
            found.append(False)
    assert found == [True, True, False, False]


def test_a_negative_bound_is_refused():
    with pytest.raises(InputError, match='cache_mb'):
        TRANSFORMS.build(dict(type='LoadInfraredImage', cache_mb=-1))
