"""Whatever a box XML, a split, a file of results, a log or a library holds, it is read or refused in one line."""
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import voc_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bafenet.devkit import read_boxes, read_names, read_split
from bafenet.errors import InputError
from bafenet.evaluation.results import read_results
from bafenet.synthesis.library import load_library
from bafenet.visualization.curves import read_scalars

pytestmark = pytest.mark.usefixtures('bounded_memory')

LARGE = settings(max_examples=1500, deadline=10_000, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
QUICK = settings(LARGE, max_examples=120)
WORDS = st.one_of(st.text(max_size=20), st.sampled_from([
    '', '1', '-1', '0', '1e308', 'nan', 'inf', '-inf', '1_0', '٣', '0x10', '9' * 400, ' 5 ', '5.5', 'Target', '../x',
    '\x1b[31m', '\u202e', '<![CDATA[1]]>', '&lt;', '&amp;', '&#0;', '&x;', '<!-- -->', '<?x?>']))
TAGS = st.sampled_from(['annotation', 'object', 'bndbox', 'name', 'xmin', 'ymin', 'xmax', 'ymax', 'size', 'width',
                        'height', 'filename', 'html', 'x:object', 'a b="c"'])


def read_or_refuse(file: Path, content: bytes, reader: Callable[[Path], object]) -> object:
    """What a reader says of some content; None where it refuses it."""
    file.write_bytes(content)
    try:
        return reader(file)
    except InputError as error:
        text = str(error)
        assert text.isprintable() and file.name in text and len(text) < 2000, text[:3000]
        return None


def flipped(good: bytes) -> st.SearchStrategy:
    """Some bytes of good content changed, and the end cut off or not."""
    flips = st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=8)

    def change(parts) -> bytes:
        content = bytearray(good)
        for place, value in parts[0]:
            content[place] = value
        return bytes(content[:parts[1]])

    return st.tuples(flips, st.one_of(st.just(len(good)), st.integers(0, len(good)))).map(change)


def twice(strategy: st.SearchStrategy) -> Callable:
    """Two tests of one function: a quick one, and one of many examples among the faults."""

    def decorate(function: Callable) -> Callable:
        scope = function.__globals__
        quick = QUICK(given(content=strategy)(function))
        # A test of its own: hypothesis keeps its state at the function.
        def large(tmp_path, content):
            function(tmp_path, content)

        large.__name__ = large.__qualname__ = f'{function.__name__}_at_length'
        large.__module__ = function.__module__
        scope[large.__name__] = pytest.mark.faults(LARGE(given(content=strategy)(large)))
        return quick

    return decorate


# --- Box XML ----------------------------------------------------------------------------------------------------------


def element(children: st.SearchStrategy) -> st.SearchStrategy:
    return st.tuples(TAGS, st.lists(children, max_size=5), WORDS).map(
        lambda parts: f'<{parts[0]}>{"".join(parts[1])}{parts[2]}</{parts[0].split(" ")[0]}>')


TREES = st.recursive(WORDS, element, max_leaves=30)
OBJECTS = st.lists(st.tuples(WORDS, st.tuples(*[WORDS] * 4)), max_size=4).map(
    lambda items: '<annotation>' + ''.join(
        f'<object><name>{name}</name><bndbox>' + ''.join(
            f'<{tag}>{text}</{tag}>' for tag, text in zip(('xmin', 'ymin', 'xmax', 'ymax'), corners, strict=True))
        + '</bndbox></object>' for name, corners in items) + '</annotation>')
HEADS = st.sampled_from(['', '<?xml version="1.0"?>', '<?xml version="1.0" encoding="utf-16"?>', '\ufeff',
                         '<?xml version="1.0" encoding="x"?>', '<!DOCTYPE a [<!ENTITY x "y">]>'])
XMLS = st.one_of(
    st.tuples(HEADS, st.one_of(TREES.map('<annotation>{}</annotation>'.format), TREES, OBJECTS)).map(
        lambda parts: ''.join(parts).encode('utf-8', 'surrogatepass')),
    flipped(voc_xml([(1, 2, 3, 4), (5, 6, 7, 8)]).encode()), st.binary(max_size=300))


@twice(XMLS)
def test_box_xml(tmp_path, content):
    found = read_or_refuse(tmp_path / 'boxes.xml', content, lambda file: read_boxes(file, ('Target', ), (64, 64)))
    if found is not None:
        names, corners = found
        assert len(names) == len(corners) and np.isfinite(corners).all()
        assert (corners[:, 2:] > corners[:, :2]).all() and corners.min(initial=0) >= 0 and corners.max(initial=0) <= 64


# --- Splits -----------------------------------------------------------------------------------------------------------

LINES = st.one_of(WORDS, st.sampled_from(['scene_0', '/etc/passwd', 'a\\b', '..', 'x' * 300, 'ä', '\u2028', '\x00']))
SPLITS = st.one_of(
    st.tuples(st.lists(LINES, max_size=8), st.sampled_from(['\n', '\r\n', '\r', '\x0b', '\x85']),
              st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16', 'utf-32', 'latin-1'])).map(
                  lambda parts: parts[1].join(parts[0]).encode(parts[2], 'replace')),
    st.binary(max_size=200), flipped(b'scene_0\nscene_1\n'))


@twice(SPLITS)
def test_split(tmp_path, content):
    for reader in (read_names, read_split):
        names = read_or_refuse(tmp_path / 'split.txt', content, reader)
        assert names is None or all(name.isprintable() and not {'/', '\\'} & set(name) and name not in ('.', '..')
                                    for name in names)


# --- Results and logs -------------------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10),
              st.sampled_from([10**30, -1, 1e308, '\x1b[31m'])),
    lambda children: st.one_of(st.lists(children, max_size=4),
                               st.dictionaries(st.text(max_size=5), children, max_size=3)),
    max_leaves=10)
NUMBERS = st.one_of(st.lists(st.one_of(st.floats(0, 1), st.integers(-2, 3), PLAIN), max_size=3), PLAIN)
CORNERS = st.lists(st.one_of(st.floats(), st.integers(0, 50)), min_size=4, max_size=4)
BOXES = st.one_of(st.lists(CORNERS, max_size=3), PLAIN)
IMAGES = st.fixed_dictionaries({}, optional={
    'img_id': st.one_of(st.text(max_size=5), PLAIN), 'boxes': BOXES, 'gt_boxes': BOXES, 'scores': NUMBERS,
    'labels': NUMBERS, 'gt_labels': NUMBERS, 'in_sky': NUMBERS})
CONTENTS = st.one_of(PLAIN, st.fixed_dictionaries(
    {'images': st.one_of(st.lists(st.one_of(IMAGES, PLAIN), max_size=3), PLAIN)},
    optional={'metrics': st.one_of(st.dictionaries(st.text(max_size=5), PLAIN, max_size=3), PLAIN), 'split': PLAIN,
              'environment': st.one_of(st.dictionaries(st.text(max_size=5), PLAIN, max_size=3), PLAIN)}))
GOOD = json.dumps(dict(images=[dict(img_id='a', boxes=[[0, 0, 4, 4]], scores=[0.5], labels=[0], gt_boxes=[[0, 0, 4, 4]],
                                    gt_labels=[0])])).encode()


@twice(st.one_of(CONTENTS.map(lambda content: json.dumps(content).encode()), flipped(GOOD), st.binary(max_size=100)))
def test_results(tmp_path, content):
    found = read_or_refuse(tmp_path / 'results.json', content, lambda file: read_results(str(file)))
    assert found is None or isinstance(found['images'], list)


RECORDS = st.one_of(PLAIN, st.dictionaries(st.sampled_from(['loss', 'loss_cls', 'step', 'densesirst/recall', 'lr']),
                                           st.one_of(st.integers(0, 9), st.floats(), PLAIN), max_size=4))
LOGS = st.one_of(st.lists(RECORDS, max_size=5).map(lambda records: '\n'.join(map(json.dumps, records)).encode()),
                 flipped(b'{"loss": 1.5, "step": 1}\n{"loss": 1, "step": 2}\n'), st.binary(max_size=100))


@twice(LOGS)
def test_log(tmp_path, content):
    found = read_or_refuse(tmp_path / 'scalars.json', content, read_scalars)
    assert found is None or all(points.shape[1:] == (2, ) and np.isfinite(points).all() for points in found.values())


# --- Target libraries -------------------------------------------------------------------------------------------------

DTYPES = st.sampled_from(['u1', 'i1', 'i8', 'u8', 'f4', 'f8', 'c8', 'U3', 'S2', 'M8[s]', '?', [('a', 'u1')]])
ARRAYS = st.one_of(
    st.tuples(st.lists(st.integers(0, 4), max_size=3), DTYPES).map(lambda parts: np.zeros(*parts)),
    st.lists(st.tuples(st.integers(-2, 2**63 - 1), st.integers(-2, 9)), max_size=4).map(
        lambda sizes: np.array(sizes, np.int64).reshape(-1, 2)),
    st.integers(0, 12).map(lambda length: np.full(length, 200, np.uint8)))


def archive(arrays: dict, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', compression) as out:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.save(part, array) if isinstance(array, np.ndarray) else part.write(array)
            out.writestr(f'{name}.npy', part.getvalue())
    return stream.getvalue()


LIBRARY = dict(pixels=np.full(13, 200, np.uint8), sizes=np.array([[3, 3], [2, 2]]), meta=np.array('{}'))
PIXELS = io.BytesIO()
np.save(PIXELS, LIBRARY['pixels'])
PARTS = st.one_of(ARRAYS, flipped(PIXELS.getvalue()), st.binary(max_size=200))
LIBRARIES = st.one_of(
    st.tuples(st.dictionaries(st.sampled_from([*LIBRARY, 'more']), PARTS, max_size=2),
              st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])).map(
                  lambda parts: archive({**LIBRARY, **parts[0]}, parts[1])),
    flipped(archive(LIBRARY)), flipped(archive(LIBRARY, zipfile.ZIP_STORED)), st.binary(max_size=200))


@twice(LIBRARIES)
def test_library(tmp_path, content):
    found = read_or_refuse(tmp_path / 'library.npz', content, lambda file: load_library(file, 5))
    if found is not None:
        assert found.sizes.min() >= 1 and found.sizes.max() <= 5 and len(found.patches) == len(found.sizes)
