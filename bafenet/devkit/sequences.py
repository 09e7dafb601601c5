"""Frames of videos (MP4, AVI, MKV and others, through PyAV) and of NumPy files, one by one, of bounded size."""
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..errors import InputError, first_line, printable
from ..reading import PathLike, open_file, reason_of
from .images import require_few_pixels

VIDEO_SUFFIXES = ('.mp4', '.avi', '.mkv', '.mov', '.m4v', '.webm', '.mpg', '.mpeg', '.ts', '.mts', '.wmv', '.flv',
                  '.ogv', '.asf', '.mjpeg')
# No playlists or the like, which name files and addresses of their own.
_CONTAINERS = 'mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpegts,mpeg,mpegvideo,ogg,asf,flv,nut,mjpeg,h264,hevc'
_NUMPY_START = b'\x93NUMPY'


def is_numpy(start: bytes) -> bool:
    """Whether a file that begins so is a NumPy file."""
    return start.startswith(_NUMPY_START)


def is_video(start: bytes) -> bool:
    """Whether a file that begins so (12 bytes) is an MP4, AVI or MKV."""
    return start[4:8] == b'ftyp' or start[:4] == b'\x1a\x45\xdf\xa3' or start[:4] + start[8:12] == b'RIFFAVI '


# --- NumPy ------------------------------------------------------------------------------------------------------------


def read_numpy(path: PathLike) -> Iterator[np.ndarray]:
    """The frames of a NumPy file, never unpickled, mapped and not wholly read.

    An array (H, W) or (H, W, 1 or 3) is one frame, any other of three or four axes a sequence of them.

    Yields:
        (H, W) or (H, W, C) of the file's dtype.

    Raises:
        InputError: If it is no such file, or cut short.
    """
    for frame in _mapped(path):
        yield np.array(frame)


def count_numpy(path: PathLike) -> int:
    """How many frames :func:`read_numpy` gives; it raises likewise."""
    return len(_mapped(path))


def _mapped(path: PathLike) -> np.ndarray:
    """The frames of a file, (N, H, W) or (N, H, W, C)."""
    with open_file(path) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, is_fortran, dtype = read(file)
            if dtype.hasobject or len(shape) not in (2, 3, 4) or not all(shape):
                raise ValueError(f'it holds {dtype} {"x".join(map(str, shape))} and no frame or sequence of frames')
            frames: Any = np.memmap(file, dtype, 'r', file.tell(), shape, 'F' if is_fortran else 'C')
        except InputError:
            raise
        except Exception as error:  # a crafted header can provoke any error
            raise InputError(f'{printable(path)}: does not decode as a NumPy file ({reason_of(error)}); replace the '
                             'file') from error
    if frames.ndim == 2 or frames.ndim == 3 and frames.shape[2] in (1, 3):
        frames = frames[None]
    require_few_pixels(path, frames.shape[2], frames.shape[1])
    return frames


# --- Videos -----------------------------------------------------------------------------------------------------------


@contextmanager
def _video(path: PathLike) -> Iterator[tuple[Any, Any]]:
    """A video's container and its first video stream; whatever PyAV raises is one line."""
    import av  # half of what reading a frame takes otherwise

    with open_file(path) as file:
        try:
            with av.open(file, 'r', options={'format_whitelist': _CONTAINERS, 'protocol_whitelist': 'pipe'}) as opened:
                if not opened.streams.video:
                    raise ValueError('it has no video stream')
                stream = opened.streams.video[0]
                require_few_pixels(path, stream.codec_context.width, stream.codec_context.height)
                yield opened, stream
        except InputError:
            raise
        except Exception as error:
            reason = getattr(error, 'strerror', None) or first_line(error)
            raise InputError(f'{printable(path)}: does not decode as a video ({reason}); replace the file') from error


def read_video(path: PathLike) -> Iterator[np.ndarray]:
    """The frames of the first video stream of a file.

    Yields:
        uint8 (H, W) or (H, W, 3) BGR; of a grey or YUV video of more than 8 bits its grey levels, uint16 (H, W).

    Raises:
        InputError: If the file is no video, does not decode, or has too large a picture.
    """
    with _video(path) as (container, stream):
        stream.thread_type = 'AUTO'
        for frame in container.decode(stream):
            require_few_pixels(path, frame.width, frame.height)
            yield _levels(frame)


def count_video(path: PathLike) -> int:
    """How many frames a video says that it has; 0 where it does not say. It raises as :func:`read_video`."""
    with _video(path) as (_, stream):
        return max(stream.frames, 0)


def frame_rate(path: PathLike, default: float = 25.0) -> float:
    """Frames a second of a video; the default where it does not say. It raises as :func:`read_video`."""
    with _video(path) as (_, stream):
        rate = stream.average_rate
        return float(rate) if rate and 0.1 <= rate <= 240 else default


def _levels(frame: Any) -> np.ndarray:
    """A decoded frame as grey levels, or BGR where it has colours."""
    name = frame.format.name
    bits = max(component.bits for component in frame.format.components)
    if bits > 8 and name.startswith(('gray', 'yuv', 'p0')):
        return frame.to_ndarray(format='gray16le').astype(np.uint16)
    if name == 'gray':
        return frame.to_ndarray(format='gray')
    image = frame.to_ndarray(format='bgr24')
    is_grey = (image[..., 1:] == image[..., :1]).all()
    return image[..., 0].copy() if is_grey else image
