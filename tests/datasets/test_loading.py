"""Loading with and without the cache of decoded files, in one channel and in three; packing."""
import os

import cv2
import numpy as np
import pytest
import torch
from conftest import write_palette
from mmdet.registry import DATASETS, TRANSFORMS
from PIL import Image

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


@pytest.mark.parametrize(('step', 'sample', 'needs', 'loader'), [
    (dict(type='PackInfraredInputs'), {}, 'image', 'LoadInfraredImage'),
    (dict(type='PackInfraredInputs'), dict(img=1, instances=[{}]), 'boxes', 'LoadSkyAnnotations'),
    (dict(type='BalancedCrop'), dict(gt_bboxes=1), 'image', 'LoadInfraredImage'),
    (dict(type='BalancedCrop'), dict(img=1), 'boxes', 'LoadSkyAnnotations'),
    (dict(type='BAGCopyPaste', library=[np.full((3, 3), 9, np.uint8)]), dict(img=1), 'boxes', 'LoadSkyAnnotations'),
])
def test_a_step_says_which_step_is_missing_before_it(step, sample, needs, loader):
    with pytest.raises(InputError) as caught:
        TRANSFORMS.build(step)({'img_path': 'a.png', **sample})
    assert str(caught.value).startswith(f'a.png: {step["type"]} needs the {needs}, and no step before it has loaded ')
    assert f'put {loader} before it' in str(caught.value)


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


def test_training_samples_of_sixteen_bits_are_those_of_eight_in_a_fixed_range(copy):
    settings = [dict(type='LoadInfraredImage', value_range=(0, 4080)), dict(type='LoadSkyAnnotations'),
                dict(type='BAGCopyPaste'), dict(type='PackInfraredInputs')]
    samples = []
    for deep in (False, True):
        for file in (copy / 'PNGImages').iterdir() if deep else ():
            cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_GRAYSCALE).astype(np.uint16) * 16)
        (copy / 'TargetLibrary/train_v2.npz').unlink(missing_ok=True)  # is cut from the images anew
        dataset = DATASETS.build(dict(type='DenseSIRSTDataset', data_root=str(copy), ann_file='Splits/train_v2.txt',
                                      pipeline=settings))
        samples.append([dataset[SampleIndex(i, epoch=i)] for i in range(len(dataset))])
    for eight, sixteen in zip(*samples, strict=True):
        assert torch.equal(eight['inputs'], sixteen['inputs'])
        assert len(eight['data_samples'].gt_instances) > 4


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


@pytest.mark.parametrize('kind', ['LoadInfraredImage', 'LoadSkyAnnotations'])
@pytest.mark.parametrize('bound', [-1, None, '1', float('nan'), float('inf'), True, 10**30])
def test_a_bound_that_is_none_is_refused(kind, bound):
    with pytest.raises(InputError, match='cache_mb'):
        TRANSFORMS.build(dict(type=kind, cache_mb=bound))


@pytest.mark.parametrize('color_type', ['colour', None, 1.5, True, ['color']])
def test_a_color_type_that_is_none_is_refused(color_type):
    with pytest.raises(InputError, match='LoadInfraredImage: color_type'):
        TRANSFORMS.build(dict(type='LoadInfraredImage', color_type=color_type))


DEEP = np.random.default_rng(2).integers(0, 4000, (30, 20), dtype=np.uint16)


@pytest.mark.parametrize('name', ['image.png', 'image.tif', 'image.pgm'])
@pytest.mark.parametrize('settings', [{}, dict(cache_mb=1), dict(to_float32=True), dict(color_type='grayscale')])
def test_sixteen_bits_are_brought_to_eight_by_percentiles(tmp_path, name, settings):
    cv2.imwrite(str(tmp_path / name), DEEP)
    low, high = np.percentile(DEEP, [0.1, 99.9], method='nearest')
    expected = np.clip(np.rint((DEEP - float(low)) * 255 / (float(high) - float(low))), 0, 255)
    loader = TRANSFORMS.build(dict(type='LoadInfraredImage', **settings))
    for results in (load(loader, tmp_path / name), load(loader, tmp_path / name), loader(dict(img=DEEP))):
        image = results['img']
        assert image.dtype == (np.float32 if 'to_float32' in settings else np.uint8)
        np.testing.assert_array_equal(image, expected)
        assert results['img_shape'] == results['ori_shape'] == (30, 20) and results['scale_factor'] == (1.0, 1.0)


def test_the_percentiles_and_a_fixed_range_are_settings(tmp_path):
    cv2.imwrite(str(tmp_path / 'image.png'), DEEP)
    images = [load(TRANSFORMS.build(dict(type='LoadInfraredImage', **settings)), tmp_path / 'image.png')['img']
              for settings in ({}, dict(percentiles=[10, 90]), dict(value_range=(0, 4000)))]
    assert (images[1] == 255).mean() > 0.09 > (images[0] == 255).mean()
    np.testing.assert_array_equal(images[2], np.rint(DEEP * (255 / 4000)))
    for settings in (dict(percentiles=(50, 50)), dict(percentiles=(-1, 50)), dict(percentiles=3),
                     dict(value_range=(5, 1)), dict(value_range=(1, float('nan')))):
        with pytest.raises(InputError, match='^LoadInfraredImage: '):
            TRANSFORMS.build(dict(type='LoadInfraredImage', **settings))


def test_deep_colours_are_three_channels_and_eight_bits_are_as_ever(tmp_path):
    deep = np.dstack([DEEP, DEEP // 2, DEEP // 3])
    cv2.imwrite(str(tmp_path / 'deep.png'), deep)
    image = load(TRANSFORMS.build(dict(type='LoadInfraredImage')), tmp_path / 'deep.png')['img']
    assert image.shape == (30, 20, 3) and image[..., 0].mean() > image[..., 1].mean() > image[..., 2].mean()
    cv2.imwrite(str(tmp_path / 'grey.png'), DEEP)
    colour = load(TRANSFORMS.build(dict(type='LoadInfraredImage', color_type='color')), tmp_path / 'grey.png')['img']
    assert colour.shape == (30, 20, 3) and (colour == colour[..., :1]).all()


def test_a_sky_map_of_sixteen_bits_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / 'sky.png'), DEEP)
    with pytest.raises(InputError, match='sky.png: has more than 8 bits a pixel'):
        load(TRANSFORMS.build(dict(type='LoadSkyAnnotations')), tmp_path / 'sky.png')


@pytest.mark.parametrize('kind', ['LoadInfraredImage', 'LoadSkyAnnotations'])
def test_pipes_and_bombs_are_refused_before_they_are_decoded(tmp_path, kind):
    loader = TRANSFORMS.build(dict(type=kind))
    os.mkfifo(tmp_path / 'pipe.png')
    Image.new('1', (9000, 9000)).save(tmp_path / 'bomb.png')
    for name, message in (('pipe', 'a pipe or device'), ('bomb', 'is of 9000x9000 pixels'), ('none', 'no such file')):
        with pytest.raises(InputError, match=f'{name}.png: .*{message}'):
            load(loader, tmp_path / f'{name}.png')


def test_a_sky_map_that_is_not_of_its_images_size_says_both(sample):
    loader = TRANSFORMS.build(dict(type='LoadSkyAnnotations'))
    with pytest.raises(InputError, match="sky.png: the sky map is not of its image's size, 51x40, but 50x40"):
        loader(dict(seg_map_path=str(sample['root'] / 'sky.png'), ori_shape=(40, 51), instances=[]))
