"""Frames are read from images, TIFF stacks, NumPy files and videos, by content; what is damaged is one line."""
import os
import struct
from fractions import Fraction
from io import BytesIO

import av
import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from bafenet.devkit.decode import read_header
from bafenet.devkit.frame_files import find_frame_files
from bafenet.devkit.frames import GreyLevels, count_frames, kind_of, read_frame, read_frames, read_grey_frame
from bafenet.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
DEEP = RNG.integers(0, 4000, (4, 20, 30), dtype=np.uint16)
PLAIN = GreyLevels(value_range=(0, 255))  # values up to 255 stay as they are


def write_video(path, frames, codec='ffv1', pixels='gray', form='gray') -> None:
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=Fraction(10))
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=form)))
        container.mux(stream.encode())


@pytest.mark.parametrize('suffix', ['png', 'bmp', 'tif', 'pgm', 'dat', 'png.tmp'])
def test_an_image_is_known_by_its_content(tmp_path, suffix):
    kind = suffix if suffix in ('png', 'bmp', 'tif', 'pgm') else 'png'
    path = tmp_path / f'a b.ü.{suffix}'
    path.write_bytes(cv2.imencode(f'.{kind}', GREY)[1].tobytes())
    frame, = read_frames(path)
    assert frame.name == str(path) and frame.number == 0 and frame.levels is None
    np.testing.assert_array_equal(frame.image, GREY)
    np.testing.assert_array_equal(read_grey_frame(path), GREY)


def test_palettes_and_alpha(tmp_path):
    palette = Image.fromarray(GREY % 2, mode='P')
    palette.putpalette([10, 20, 30, 200, 100, 0])
    palette.save(tmp_path / 'palette.png')
    assert read_frame(tmp_path / 'palette.png').image.reshape(-1, 3).max(0).tolist() == [30, 100, 200]  # BGR
    Image.fromarray(np.dstack([GREY, GREY // 2, GREY // 3, 255 - GREY])).save(tmp_path / 'alpha.png')
    np.testing.assert_array_equal(read_frame(tmp_path / 'alpha.png').image, np.dstack([GREY // 3, GREY // 2, GREY]))


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'uint32', 'float16', 'float32', 'float64', '>u2'])
@pytest.mark.parametrize('shape', [(20, 30), (20, 30, 3), (20, 30, 4), (3, 20, 30)])
def test_a_tiff_of_any_type_and_its_pages(tmp_path, dtype, shape):
    values = RNG.integers(0, 256, shape)
    if dtype == 'uint8' and shape[-1] == 4:
        values[..., 3] = 255  # OpenCV weighs 8-bit colours by alpha
    path = tmp_path / 'stack.tif'
    tifffile.imwrite(path, values.astype(dtype), photometric='rgb' if len(shape) == 3 and shape[2] < 5 else
                     'minisblack')
    frames = list(read_frames(path, PLAIN))
    pages = list(values) if shape[0] == 3 else [values[..., 2::-1] if len(shape) == 3 else values]
    assert len(frames) == count_frames(path) == len(pages)
    assert [frame.name for frame in frames] == ([f'{path}#{i}' for i in range(3)] if shape[0] == 3 else [str(path)])
    for frame, page in zip(frames, pages, strict=True):
        np.testing.assert_array_equal(frame.image, page)
    assert read_header(path) == (30, 20, dtype != 'uint8')


def test_tiffs_that_only_one_library_reads(tmp_path):
    images = [Image.fromarray(page) for page in DEEP]
    images[0].save(tmp_path / 'lzw.tif', compression='tiff_lzw', save_all=True, append_images=images[1:])
    tifffile.imwrite(tmp_path / 'white.tif', 65535 - DEEP, photometric='miniswhite')
    tifffile.imwrite(tmp_path / 'planes.tif', DEEP[:3], photometric='rgb', planarconfig='separate')
    levels = GreyLevels(value_range=(0, 4080))
    expected = np.rint(DEEP / 16)
    for name in ('lzw', 'white'):
        found = [frame.image for frame in read_frames(tmp_path / f'{name}.tif', levels)]
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(read_frame(tmp_path / 'planes.tif', levels).image,
                                  np.moveaxis(expected[2::-1], 0, 2))


@pytest.mark.parametrize('bits', [10, 12, 14])
def test_packed_pixels_of_cameras(tmp_path, bits):
    values = RNG.integers(0, 2**bits, (20, 32), dtype=np.uint16)
    data = np.packbits((values.reshape(-1, 1) >> np.arange(bits)[::-1]).astype(np.uint8) & 1).tobytes()
    tags = [(256, 32), (257, 20), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, 20), (279, len(data))]
    directory = struct.pack('<H', len(tags)) + b''.join(struct.pack('<HHII', tag, 4, 1, value) for tag, value in tags)
    (tmp_path / 'packed.tif').write_bytes(b'II*\0' + struct.pack('<I', 8 + len(data)) + data + directory + bytes(4))
    frame = read_frame(tmp_path / 'packed.tif', GreyLevels(value_range=(0, 2**bits)))
    np.testing.assert_array_equal(frame.image, np.rint(values.astype(float) * 255 / 2**bits))


@pytest.mark.parametrize(('shape', 'count'), [((20, 30), 1), ((20, 30, 1), 1), ((20, 30, 3), 1), ((4, 20, 30), 4),
                                              ((4, 20, 30, 1), 4), ((4, 20, 30, 3), 4)])
def test_numpy_files(tmp_path, shape, count):
    values = RNG.integers(0, 4000, shape, dtype=np.uint16)
    np.save(tmp_path / 'a.npy', np.asfortranarray(values))
    frames = list(read_frames(tmp_path / 'a.npy', GreyLevels(value_range=(0, 255))))
    assert len(frames) == count == count_frames(tmp_path / 'a.npy')
    np.testing.assert_array_equal(frames[-1].image, values.clip(0, 255).reshape(count, *frames[0].image.shape)[-1])


def test_videos_grey_deep_and_in_colour(tmp_path):
    write_video(tmp_path / 'grey.avi', [GREY] * 3)
    write_video(tmp_path / 'deep.mkv', list(DEEP), 'ffv1', 'gray16le', 'gray16le')
    write_video(tmp_path / 'yuv.mp4', [GREY // 32 * 32] * 3, 'libx264', 'yuv420p')
    frames = list(read_frames(tmp_path / 'grey.avi'))
    assert [frame.name for frame in frames] == [f'{tmp_path}/grey.avi#{i}' for i in range(3)]
    np.testing.assert_array_equal(frames[2].image, GREY)
    np.testing.assert_array_equal([frame.image for frame in read_frames(tmp_path / 'deep.mkv',
                                                                        GreyLevels(value_range=(0, 4080)))],
                                  np.rint(DEEP / 16))
    assert len(list(read_frames(tmp_path / 'yuv.mp4'))) == 3 == count_frames(tmp_path / 'yuv.mp4')
    (tmp_path / 'yuv.mp4').rename(tmp_path / 'no_suffix')
    assert kind_of(tmp_path / 'no_suffix') == 'video'


@pytest.fixture
def damaged(tmp_path):
    """Files that are none, by name."""
    png, jpeg = (cv2.imencode(suffix, RNG.integers(0, 255, (200, 200), dtype=np.uint8))[1].tobytes()
                 for suffix in ('.png', '.jpg'))
    write_video(tmp_path / 'whole.mp4', [GREY] * 3, 'libx264', 'yuv420p')
    tifffile.imwrite(tmp_path / 'whole.tif', DEEP)
    np.save(tmp_path / 'objects.npy', np.array([{}]))
    np.save(tmp_path / 'whole.npy', DEEP)
    parts = {'empty.png': b'', 'half.png': png[:9000], 'half.jpg': jpeg[:9000], 'text.png': b'hello, world',
             'half.mp4': (tmp_path / 'whole.mp4').read_bytes()[:700], 'noise.mkv': os.urandom(500),
             'half.tif': (tmp_path / 'whole.tif').read_bytes()[:-3000], 'head.tif': b'II*\0\xff\xff\xff\xff',
             'half.npy': (tmp_path / 'whole.npy').read_bytes()[:-9], 'head.npy': b'\x93NUMPY\x01\0\xff\xff{',
             'list.mp4': b'#EXTM3U\n#EXTINF:1,\n/etc/passwd\n',
             'concat.avi': b"ffconcat version 1.0\nfile '/etc/passwd'"}
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    lzw = BytesIO()
    Image.fromarray(RNG.integers(0, 255, (200, 200), dtype=np.uint8)).save(lzw, 'TIFF', compression='tiff_lzw')
    spoiled = bytearray(lzw.getvalue())
    spoiled[5000:5400] = bytes(255 - byte for byte in spoiled[5000:5400])
    (tmp_path / 'lzw.tif').write_bytes(spoiled)
    Image.fromarray(DEEP[0]).save(tmp_path / 'whole.png')
    (tmp_path / 'deep.png').write_bytes((tmp_path / 'whole.png').read_bytes()[:700])
    data = bytearray((tmp_path / 'whole.tif').read_bytes())
    first = struct.unpack('<I', data[4:8])[0]
    end = first + 2 + 12 * struct.unpack('<H', data[first:first + 2])[0]
    data[end:end + 4] = data[4:8]  # the page after the first is the first
    (tmp_path / 'loop.tif').write_bytes(data)
    tifffile.imwrite(tmp_path / 'cut_imagej.tif', DEEP, imagej=True, truncate=True)
    tifffile.imwrite(tmp_path / 'bands.tif', np.moveaxis(DEEP, 0, 2).repeat(2, 2), photometric='minisblack',
                     planarconfig='contig')
    tifffile.imwrite(tmp_path / 'cmyk.tif', np.moveaxis(DEEP, 0, 2), photometric='separated')
    np.save(tmp_path / 'bool.npy', GREY > 100)
    bomb = Image.new('1', (20000, 20000))
    bomb.save(tmp_path / 'bomb.png')
    np.lib.format.write_array_header_1_0(open(tmp_path / 'bomb.npy', 'wb'), dict(  # noqa: SIM115
        descr='<u2', fortran_order=False, shape=(10**6, 10**6)))
    return [*parts, 'objects.npy', 'bomb.png', 'bomb.npy', 'lzw.tif', 'deep.png', 'loop.tif', 'cut_imagej.tif',
            'bands.tif', 'cmyk.tif', 'bool.npy']


def test_what_is_damaged_or_too_large_is_one_line(tmp_path, damaged):
    os.mkfifo(tmp_path / 'pipe.png')
    for name in [*damaged, 'absent.png', 'pipe.png', '.']:
        with pytest.raises(InputError, match=name) as caught:
            list(read_frames(tmp_path / name))
        assert '\n' not in str(caught.value) and len(str(caught.value)) < 400
        assert 'convert the image' not in str(caught.value)  # what is deep is read


def test_files_are_found_in_natural_order_and_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = cv2.imencode('.png', GREY)[1].tobytes()
    for name in ('b/f10.png', 'b/f9.png', 'b/c/no_suffix', 'b/.hidden.png', 'b/out/x.png', 'a [1].png', 'b/notes.txt',
                 'b/empty.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b'' if 'empty' in name else b'text' if 'txt' in name else data)
    found = find_frame_files(['b', 'a [1].png', 'b/f*.png'], apart_from='b/out')
    assert found.files == ['b/empty.png', 'b/f9.png', 'b/f10.png', 'b/c/no_suffix', 'a [1].png']
    assert found.ignored == ['b/notes.txt']
    assert find_frame_files(['-'], ['b/f9.png\n', '\n', 'b/f*0.png\n']).files == ['b/f9.png', 'b/f10.png']
    # The folder of the results, by a pattern too; links lead to other folders, and not in circles.
    assert find_frame_files(['b/**/*'], apart_from='b/out').files == [
        'b/c/no_suffix', 'b/empty.png', 'b/f9.png', 'b/f10.png', 'b/notes.txt']
    with pytest.raises(InputError, match='^b: is the folder of the frames and that of the results too'):
        find_frame_files(['b'], apart_from='b/../b')
    (tmp_path / 'links').mkdir()
    (tmp_path / 'links/there').symlink_to(tmp_path / 'b/c')
    (tmp_path / 'links/there again').symlink_to(tmp_path / 'b/c')
    (tmp_path / 'links/back').symlink_to(tmp_path / 'links')
    (tmp_path / 'links/itself').symlink_to('itself')
    assert find_frame_files(['links']).files == ['links/there/no_suffix']
    (tmp_path / 'empty').mkdir()
    for arguments, message in ((['absent.png'], 'absent.png: no such file'), (['x*.png'], 'no file matches'),
                               (['empty'], 'empty: there is no image'), (['-'], 'there is no frame')):
        with pytest.raises(InputError, match=message):
            find_frame_files(arguments)
