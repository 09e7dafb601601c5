"""Readers of images and masks: 8 bits or a refusal, bounded, and whatever decoders raise in one line."""
import os
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from conftest import write_palette
from PIL import Image

from bafenet.devkit import image_size, read_grey, read_image, read_mask, read_sky, require_palette_sky
from bafenet.devkit import images as module
from bafenet.errors import InputError

PLANE = np.arange(48, dtype=np.uint8).reshape(6, 8)
READERS = [image_size, read_image, read_grey, lambda path: read_mask(path, (6, 8))]


def png(width, height, depth=8, colour=0, pixels=b''):
    """A PNG file whose header may say anything."""
    def chunk(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    header = struct.pack('>IIBBBBB', width, height, depth, colour, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(pixels))
            + chunk(b'IEND', b''))


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'tiff', 'pgm', 'webp'])
def test_eight_bits_are_read(tmp_path, suffix):
    path = tmp_path / f'image.{suffix}'
    Image.fromarray(PLANE).save(path, **(dict(lossless=True) if suffix == 'webp' else {}))
    assert image_size(path) == (8, 6)
    grey, colour = read_grey(path)
    assert grey.dtype == np.uint8 and colour is False
    np.testing.assert_array_equal(grey, PLANE)


def deep_files(folder):
    """Files of more than 8 bits a channel, by what they are."""
    deep = PLANE.astype(np.uint16) * 16
    for name, image in (('grey', deep), ('colour', np.dstack([deep] * 3)), ('alpha', np.dstack([deep] * 4))):
        for suffix in ('png', 'tiff'):
            cv2.imwrite(str(folder / f'{name}.{suffix}'), image)
    cv2.imwrite(str(folder / 'grey.pgm'), deep)
    cv2.imwrite(str(folder / 'colour.ppm'), np.dstack([deep] * 3))
    (folder / 'grey_alpha.png').write_bytes(png(8, 6, 16, 4, bytes(6 * (1 + 8 * 4))))
    Image.fromarray(PLANE.astype(np.float32)).save(folder / 'float.tiff')
    Image.fromarray(PLANE.astype(np.int32)).save(folder / 'integer.tiff')
    (folder / 'twelve.pgm').write_bytes(b'P5 8 6 4095\n' + deep.byteswap().tobytes())
    return sorted(folder.iterdir())


def test_more_than_eight_bits_are_refused_by_name(tmp_path):
    paths = deep_files(tmp_path)
    assert len(paths) == 12
    for path in paths:
        for read in READERS:
            with pytest.raises(InputError, match=f'^{path}: has more than 8 bits a pixel; convert the image to 8-bit '
                                                 'grey first$'):
                read(path)


def test_sixteen_bit_colours_of_bmp_are_no_more_than_eight_a_channel(tmp_path):
    header = struct.pack('<IiiHHIIiiII', 40, 8, 6, 1, 16, 0, 96, 0, 0, 0, 0)
    (tmp_path / 'image.bmp').write_bytes(b'BM' + struct.pack('<IHHI', 54 + 96, 0, 0, 54) + header + bytes(96))
    assert read_grey(tmp_path / 'image.bmp')[0].shape == (6, 8)


EPS = b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 6\n%%EndComments\n(trap) run\nshowpage\n'
BAD_IMAGES = {
    'empty': b'', 'text': b'no image', 'a web page': b'<html></html>', 'cut short': png(8, 6, pixels=bytes(20)),
    'a header alone': png(8, 6)[:40], 'no data': png(8, 6), 'wrong type': png(8, 6, colour=5), 'programs': EPS,
    'a bomb': png(60_000, 60_000), 'the largest': png(2**31 - 1, 2**31 - 1), 'no width': png(0, 6),
    'text that unpacks': png(8, 6)[:33] + struct.pack('>I', 100_020) + b'zTXta\0\0' + zlib.compress(bytes(10**8)),
}


@pytest.mark.parametrize('content', BAD_IMAGES.values(), ids=BAD_IMAGES)
def test_bad_images_are_told_in_one_line(tmp_path, content):
    path = tmp_path / 'image.png'
    path.write_bytes(content)
    for read in READERS[1:]:
        with pytest.raises(InputError, match=f'^{path}: does not decode as an image') as error:
            read(path)
        assert str(error.value).isprintable()


def test_an_image_that_would_fill_the_memory_is_refused_without_a_warning(tmp_path):
    path = tmp_path / 'image.png'
    # Above Pillow's limit for a warning, below the one for its error.
    path.write_bytes(png(10_000, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for read in READERS:
            with pytest.raises(InputError, match='is of 10000x10000 pixels, more than'):
                read(path)


@pytest.mark.parametrize('read', READERS)
def test_only_regular_files_are_read(tmp_path, read):
    os.mkfifo(tmp_path / 'pipe.png')
    for path, message in ((tmp_path / 'pipe.png', 'a pipe or device'), (tmp_path, 'a folder'),
                          (tmp_path / 'none', 'no such file')):
        with pytest.raises(InputError, match=message):
            read(path)


def test_a_mask_of_another_size_says_both(tmp_path):
    write_palette(tmp_path / 'mask.png', np.ones((1, 1)))
    with pytest.raises(InputError, match="mask.png: is 1x1 and not of its image's size, 8x6"):
        read_mask(tmp_path / 'mask.png', (6, 8))


def sky_maps(folder, *maps):
    paths = [folder / f'{index}.png' for index in range(len(maps))]
    for path, values in zip(paths, maps, strict=True):
        Image.fromarray(values.astype(np.uint8)).save(path)
    return paths


def test_sky_maps_of_255_alone_are_refused(tmp_path):
    other, sky, binary = np.zeros((6, 8)), np.ones((6, 8)), np.full((6, 8), 255)
    binary[0] = 0
    require_palette_sky(sky_maps(tmp_path, other, other))
    require_palette_sky(sky_maps(tmp_path, other, binary, sky))
    require_palette_sky([])
    paths = sky_maps(tmp_path, other, binary, binary)
    with pytest.raises(InputError, match=f'^{paths[1]}: holds 255.* as in SkySeg/BinaryMask; give maps of 0 and 1'):
        require_palette_sky(paths)
    # A damaged one is named where it is used.
    paths[0].write_bytes(b'no image')
    with pytest.raises(InputError, match=f'^{paths[1]}'):
        require_palette_sky(paths)


def test_no_more_sky_maps_are_read_than_up_to_the_first_sky(tmp_path, monkeypatch):
    paths, read = sky_maps(tmp_path, *[np.zeros((6, 8))] * 2, *[np.ones((6, 8))] * 5), []
    monkeypatch.setattr(module, 'read_image', lambda path: read.append(path) or Image.open(path))
    require_palette_sky(paths)
    assert read == paths[:3]


def test_colours_become_grey_and_are_reported(tmp_path):
    grey = np.random.default_rng(0).integers(1, 256, (60, 70), dtype=np.uint8)
    colour = np.stack([grey, grey[::-1], grey], axis=-1)
    alpha = np.dstack([grey, grey, grey, grey[::-1]])
    for name, image, expected, has_colours in (
        ('grey', grey, grey, False), ('equal', np.dstack([grey] * 3), grey, False), ('alpha', alpha, grey, False),
        ('colour', colour, np.rint(colour @ [0.299, 0.587, 0.114]), True)):
        path = tmp_path / f'{name}.png'
        Image.fromarray(image).save(path)
        read, coloured = read_grey(path)
        assert read.dtype == np.uint8 and coloured is has_colours
        np.testing.assert_allclose(read, expected, atol=0 if not has_colours else 1)


@pytest.mark.parametrize('content, message', [
    (b'no image', 'does not decode'), (b'', 'does not decode'), (None, 'no such file')])
def test_bad_images_are_named(tmp_path, content, message):
    path = tmp_path / 'bad.png'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf'bad\.png: .*{message}'):
        read_grey(path)


def test_truncated_and_deep_images_are_named(tmp_path):
    path = tmp_path / 'image.png'
    Image.fromarray(np.random.default_rng(0).integers(1, 256, (60, 70), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r'image\.png: does not decode'):
        read_grey(path)
    Image.fromarray(np.full((4, 4), 4000, np.uint16)).save(path)
    with pytest.raises(InputError, match='more than 8 bits'):
        read_grey(path)


def test_sky_maps(tmp_path):
    path, labels = tmp_path / 'sky.png', np.arange(16, dtype=np.uint8).reshape(4, 4) % 2
    write_palette(path, labels)
    assert np.array_equal(read_sky(path, (4, 4)), labels == 1)
    for values in (labels, labels * 255, np.dstack([labels * 255] * 3), labels * 0, labels * 0 + 1):
        Image.fromarray(values).save(path)
        assert np.array_equal(read_sky(path, (4, 4)), values.reshape(4, 4, -1)[..., 0] > 0)
    labels[0, 0] = 255
    for bad in (labels, labels * 0 + 7):
        Image.fromarray(bad).save(path)
        with pytest.raises(InputError, match=r'sky\.png: a sky map holds 0 and 1, or 0 and 255'):
            read_sky(path, (4, 4))
    with pytest.raises(InputError, match=r'sky\.png: is 4x4'):
        read_sky(path, (4, 5))


def test_in_a_palette_255_is_ignored(tmp_path):
    path, labels = tmp_path / 'sky.png', np.arange(16, dtype=np.uint8).reshape(4, 4) % 2
    for values in (labels, labels * 255, labels + np.uint8(254) * (labels == 1), labels * 0):
        values[0, 0] = 255
        Image.fromarray(values).save(path)
        assert np.array_equal(read_sky(path, (4, 4), palette=True), values)
    Image.fromarray(labels * 7).save(path)
    with pytest.raises(InputError, match='holds 0, 1 and 255'):
        read_sky(path, (4, 4), palette=True)
