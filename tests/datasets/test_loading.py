"""Loading with and without the cache of decoded files, in one channel and in three; packing."""
import cv2
import numpy as np
import pytest
import torch
from conftest import write_palette
from mmdet.registry import DATASETS, TRANSFORMS

from bafenet.datasets import SampleIndex
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


@pytest.mark.parametrize('settings', [{}, dict(color_type='color')])
@pytest.mark.parametrize('kind', ['grey', 'colour'])
@pytest.mark.parametrize('cache_mb', [0, 1])
def test_images_are_the_same_from_the_cache_and_may_be_written_to(sample, kind, cache_mb, settings):
    loader = TRANSFORMS.build(dict(type='LoadInfraredImage', cache_mb=cache_mb, **settings))
    path = sample['root'] / f'{kind}.png'
    expected = sample[kind] if settings or kind == 'colour' else sample['grey'][..., 0]
    for _ in range(3):
        results = load(loader, path)
        np.testing.assert_array_equal(results['img'], expected)
        assert results['img_shape'] == results['ori_shape'] == (40, 50)
        results['img'][:] = 0
    path.unlink()
    if cache_mb:
        np.testing.assert_array_equal(load(loader, path)['img'], expected)
    else:
        with pytest.raises(InputError):
            load(loader, path)


def test_a_grey_file_packs_to_what_three_channels_from_the_start_would_be(tmp_path):
    image = np.random.default_rng(1).integers(0, 256, (30, 20)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'image.png'), image)
    pack = TRANSFORMS.build(dict(type='PackInfraredInputs'))
    one = load(TRANSFORMS.build(dict(type='LoadInfraredImage')), tmp_path / 'image.png')
    inputs = pack(one)['inputs']
    assert one['img'].ndim == 2 and inputs.shape == (3, 30, 20) and inputs.is_contiguous()
    colour = load(TRANSFORMS.build(dict(type='LoadImageFromFile')), tmp_path / 'image.png')['img']
    np.testing.assert_array_equal(inputs.numpy(), colour.transpose(2, 0, 1))


def test_training_samples_are_the_same_in_one_channel_and_in_three(devkit):
    samples = []
    for settings, pack in (({}, 'PackInfraredInputs'), (dict(color_type='color'), 'PackDetInputs')):
        dataset = DATASETS.build(dict(
            type='DenseSIRSTDataset',
            data_root=str(devkit),
            ann_file='Splits/train_v2.txt',
            pipeline=[
                dict(type='LoadInfraredImage', **settings),
                dict(type='LoadSkyAnnotations'),
                dict(type='BAGCopyPaste', library=[np.full((3, 3), 90, np.uint8)]),
                dict(type='Resize', scale=(100, 80), keep_ratio=False),
                dict(type='RandomFlip', prob=0.5),
                dict(type=pack),
            ]))
        samples.append([dataset[SampleIndex(i, epoch=i)] for i in range(len(dataset))])
    for one, three in zip(*samples, strict=True):
        assert torch.equal(one['inputs'], three['inputs'])
        boxes = [sample['data_samples'].gt_instances.bboxes.tensor for sample in (one, three)]
        assert len(boxes[0]) and torch.equal(*boxes)


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
            found.append(load(loader, path)['img'].shape == (40, 50))
        except InputError:
            found.append(False)
    assert found == [True, True, False, False]


def test_a_negative_bound_is_refused():
    with pytest.raises(InputError, match='cache_mb'):
        TRANSFORMS.build(dict(type='LoadInfraredImage', cache_mb=-1))
