"""Readers of box XML and split files against everything that they may be given."""
import os
import time
import tracemalloc

import numpy as np
import pytest
from conftest import voc_xml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bafenet.devkit import read_annotation, read_boxes, read_names, read_split
from bafenet.errors import InputError

OBJECT = voc_xml([(1, 2, 3, 4)]).removeprefix('<annotation>').removesuffix('</annotation>')
STRICT = dict(classes=('Target', 'Bird'), size=(64, 48))


def annotation(inside, head=''):
    return f'{head}<annotation>{inside}</annotation>'


def one_line(error):
    return str(error.value).isprintable()


@pytest.fixture
def write(tmp_path):
    def write(content, name='file.xml'):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
    return write


# Box XML


def test_boxes_and_names_come_as_they_stand(write):
    bird = OBJECT.replace('Target', ' Bird\n').replace('>1<', '> 1.25 <')
    path = write(annotation('<folder>a</folder>' + OBJECT + bird))
    names, corners = read_boxes(path, **STRICT)
    assert names == ['Target', 'Bird'] and corners.dtype == np.float64
    assert corners.tolist() == [[1, 2, 3, 4], [1.25, 2, 3, 4]]
    assert read_boxes(write(annotation('')), **STRICT)[1].shape == (0, 4)


def test_the_head_and_the_parts_of_an_object_are_no_boxes(write):
    part = '<part><name>wing</name><bndbox><xmin>9</xmin></bndbox></part>'
    found = read_annotation(write(annotation(
        '<filename> a b.png </filename><size><width>7</width><height>8</height></size>'
        + OBJECT.replace('</object>', part + '</object>'))))
    assert (found.filename, found.size) == ('a b.png', ('7', '8'))
    assert found.objects == [('Target', (1, 2, 3, 4), '')]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'latin-1'])
def test_encodings_that_xml_knows(write, encoding):
    declared = encoding.removesuffix('-sig')
    text = annotation(f'<filename>é</filename>{OBJECT}', f'<?xml version="1.0" encoding="{declared}"?>')
    assert read_annotation(write(text.encode(encoding))).filename == 'é'


NO_ANNOTATIONS = {
    'empty': ('', 'does not parse'),
    'bytes': (bytes(range(256)), 'does not parse'),
    'zeros': (bytes(100), 'does not parse'),
    'cut short': (annotation(OBJECT)[:-20], 'does not parse'),
    'an error page': ('<html><body>404</body></html>', "root is 'html' and not 'annotation'"),
    'a proper error page': ('<!DOCTYPE html>\n<html><body/></html>', 'document type declaration'),
    'another root': ('<annotations/>', "root is 'annotations'"),
    'a root with escapes': ('<annotation\u0301/>', 'root is'),
    'a namespace': ('<annotation xmlns="http://a"/>', 'root is'),
    'objects of a namespace': (annotation('<o:object xmlns:o="http://a"/>'), 'does not stand directly'),
    'objects elsewhere': (annotation(f'<objects>{OBJECT}</objects>'), 'does not stand directly'),
    'entities of entities': ('<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>',
                             'document type declaration'),
    'an entity from a file': ('<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>',
                              'document type declaration'),
    'a declaration from elsewhere': ('<!DOCTYPE a SYSTEM "http://localhost/a.dtd"><annotation/>', 'document type'),
    'an unknown entity': (annotation('&nbsp;'), 'does not parse'),
    'an unknown encoding': (annotation('', '<?xml version="1.0" encoding="klingon"?>'), 'unknown encoding'),
    'an encoding that is none': (annotation('', '<?xml version="1.0" encoding="hex"?>'), 'does not parse'),
    'not in its encoding': (annotation('é').encode('latin-1'), 'does not parse'),
    'nested deep': (annotation('<a>' * 100_000), 'nested more than 64 deep'),
    'no box': (annotation('<object><name>Target</name></object>'), 'object 1 has no box .*: xmin is missing'),
    'half a box': (annotation(OBJECT + OBJECT.replace('<ymax>4</ymax>', '')), 'object 2 .*: ymax is missing'),
    'an empty number': (annotation(OBJECT.replace('>1<', '> <')), 'xmin is empty'),
    'a word': (annotation(OBJECT.replace('>1<', '>one<')), "xmin is 'one'"),
    'a number with underscores': (annotation(OBJECT.replace('>1<', '>0_1<')), "xmin is '0_1'"),
    'elements in a number': (annotation(OBJECT.replace('>1<', '>1<b/>2<')), 'xmin is empty'),
    'a number twice': (annotation(OBJECT.replace('<xmax>', '<xmin>1</xmin><xmax>')), 'xmin stands 2 times'),
    'two boxes': (annotation(OBJECT.replace('</object>', OBJECT[OBJECT.index('<bnd'):])), 'xmin stands 2 times'),
    'terminal escapes': (annotation(OBJECT.replace('>1<', '>\x9b31m<')), r'\\x9b31m'),
    'a long number': (annotation(OBJECT.replace('>1<', f'>{"1" * 2000}<')), 'more than 1,000 characters'),
    'no name': (annotation(OBJECT.replace('<name>Target</name>', '')), 'has not one class name'),
    'two names': (annotation(OBJECT.replace('<name>', '<name>Bird</name><name>')), 'has not one class name'),
    'an unknown name': (annotation(OBJECT.replace('Target', 'Plane\x9b')), r"class 'Plane\\x9b', which is not among"),
    'not a number': (annotation(OBJECT.replace('>1<', '>nan<')), 'has no area'),
    'infinity': (annotation(OBJECT.replace('>3<', '>inf<')), 'lies outside the 64x48 image'),
    'a huge number': (annotation(OBJECT.replace('>3<', '>1e308<')), 'lies outside the 64x48 image'),
    'a huge negative number': (annotation(OBJECT.replace('>1<', '>-1e308<')), 'lies outside'),
    'a number beyond all': (annotation(OBJECT.replace('>3<', '>1e999<')), 'lies outside'),
    'a sliver': (annotation(OBJECT.replace('>3<', '>1.00000000001<')), 'has no area'),
    'ends exchanged': (annotation(OBJECT.replace('>3<', '>0<')), 'has no area'),
    'one pixel outside': (annotation(OBJECT.replace('>4<', '>49<')), 'lies outside'),
}


@pytest.mark.parametrize('content, message', NO_ANNOTATIONS.values(), ids=NO_ANNOTATIONS)
@pytest.mark.filterwarnings('error')
def test_what_is_no_annotation_is_told_in_one_line(write, content, message):
    path = write(content)
    with pytest.raises(InputError, match=f'^{path}: .*{message}') as error:
        read_boxes(path, **STRICT)
    assert one_line(error)


def test_whole_pixels_where_they_are_demanded(write):
    assert read_boxes(write(annotation(OBJECT)), whole=True)[1].tolist() == [[1, 2, 3, 4]]
    for number in ('1.5', 'nan'):
        with pytest.raises(InputError, match='must be whole pixels'):
            read_boxes(write(annotation(OBJECT.replace('>1<', f'>{number}<'))), whole=True)


@pytest.mark.parametrize('inside, times, message', [
    (OBJECT, 150_000, 'more than 10,000 objects'), ('<object/>', 150_000, 'more than 10,000 objects'),
    ('<a/>', 10_000_000, 'more than 500,000'),
    ('<filename>' + 'a' * 10**6 + '</filename>', 1, 'more than 1,000'),
    ('<!-- nothing -->', 5_000_000, 'larger than 64 MiB'), (' ', 70_000_000, 'larger than 64 MiB')], ids=range(6))
def test_a_huge_file_takes_neither_time_nor_memory(write, inside, times, message):
    path = write(annotation(inside * times))
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_boxes(path)
        assert tracemalloc.get_traced_memory()[1] < 50 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 10


def test_as_many_objects_as_are_allowed(write):
    assert len(read_boxes(write(annotation(OBJECT * 10_000)), **STRICT)[0]) == 10_000


# Split files


@pytest.mark.parametrize('content', [
    'one\nframe 2.b\ntwo', 'one\r\nframe 2.b\r\n\r\ntwo\r\n', '\n  one\t\n frame 2.b \n\n\ntwo\n\n',
    'one\rframe 2.b\rtwo'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig'])
def test_a_name_a_line(write, content, encoding):
    assert read_split(write(content.encode(encoding))) == ['one', 'frame 2.b', 'two']


def test_names_of_any_script(write):
    names = ['снимок 1', '画像_2', 'naïve', '画像　三']
    assert read_split(write('\n'.join(names))) == names


BAD_SPLITS = {
    'empty': (b'', 'names no image'),
    'blank': (b' \n\r\n', 'names no image'),
    'twice': (b'a\nb\na\n', 'more than once: a'),
    'UTF-16': ('a\nb\n'.encode('utf-16'), 'cannot be read as text.*UTF-16.*save it as UTF-8'),
    'UTF-16 without a mark': ('a\nb\n'.encode('utf-16-be'), 'UTF-16'),
    'UTF-32': ('a\nb\n'.encode('utf-32'), 'UTF-16'),
    'Latin-1': ('a\né\n'.encode('latin-1'), 'cannot be read as text.*0xe9 in line 2'),
    'an image': (b'\x89PNG\r\n\x1a\n\0', 'cannot be read as text'),
    'a folder': (b'a/b', "'a/b' is not an image name"),
    'the folder above': (b'a\n../b', "'../b' is not an image name"),
    'the folder above alone': (b'..', "'..' is not"),
    'this folder': (b'.', "'.' is not"),
    'an absolute name': (b'/etc/passwd', 'is not an image name'),
    'a folder of Windows': (b'a\\b', 'is not an image name'),
    'NUL': (b'a\0b', r"'a\\x00b' is not an image name"),
    'a terminal escape': (b'a\x1b[31mb', r"'a\\x1b\[31mb' is not"),
    'an escape of one byte': ('a\x9b31mb'.encode(), r"'a\\x9b31mb' is not"),
    'another direction': ('a\u202eb'.encode(), r"'a\\u202eb' is not"),
    'a vertical tab': (b'a\x0bb', 'is not an image name'),
    'a long name': (b'a' * 300, 'is not an image name'),
}


@pytest.mark.parametrize('content, message', BAD_SPLITS.values(), ids=BAD_SPLITS)
def test_bad_splits_are_told_in_one_line(write, content, message):
    path = write(content, 'split.txt')
    with pytest.raises(InputError, match=f'^{path}: .*{message}') as error:
        read_split(path)
    assert one_line(error)


def test_names_alone_may_be_none_or_twice(write):
    assert read_names(write('a\na\n')) == ['a', 'a'] and read_names(write('')) == []


def test_many_names_are_quick(write):
    path = write('\n'.join(f'name_{index}' for index in range(100_000)) + '\nname_5')
    start = time.monotonic()
    with pytest.raises(InputError, match='more than once: name_5'):
        read_split(path)
    assert time.monotonic() - start < 5


# Files


@pytest.mark.parametrize('read', [read_boxes, read_split])
def test_only_regular_files_are_read(tmp_path, read):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to('loop')
    for path, message in ((tmp_path / 'pipe', 'a pipe or device'), (tmp_path, 'a folder'), ('/dev/zero', 'a pipe'),
                          (tmp_path / 'absent\x1b', r'absent\\x1b: no such file'),
                          (tmp_path / 'loop', 'cannot be read'), (tmp_path / 'a\0b', 'cannot be read'),
                          (tmp_path / ('a' * 300), 'cannot be read')):
        with pytest.raises(InputError, match=message) as error:
            read(path)
        assert one_line(error)


# Anything

TEXTS = st.one_of(st.sampled_from(['1', '3', 'nan', 'inf', '1e308', '-1', '', ' ', 'x', '&b;', '<b>', '<![CDATA[1]]>']),
                  st.text(max_size=8), st.floats().map(str))
TAGS = st.sampled_from(['annotation', 'object', 'name', 'bndbox', 'xmin', 'ymin', 'xmax', 'ymax', 'filename', 'size'])
TREES = st.recursive(TEXTS, lambda inside: st.tuples(TAGS, st.lists(inside, max_size=5)).map(
    lambda node: f'<{node[0]}>{"".join(node[1])}</{node[0]}>'), max_leaves=20)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), TREES.map(str.encode),
                         TREES.map(lambda text: annotation(text).encode()),
                         st.lists(TEXTS, min_size=4, max_size=4).map(lambda box: voc_xml([box]).encode())))
@pytest.mark.filterwarnings('error')
def test_anything_is_read_or_refused_in_one_line(write, content):
    path = write(content)
    for read in (lambda path: read_boxes(path, **STRICT), read_split):
        try:
            result = read(path)
        except InputError as error:
            assert str(error).startswith(str(path)) and str(error).isprintable()
        else:
            if isinstance(result, tuple):
                assert (result[1] >= 0).all() and (result[1][:, :2] < result[1][:, 2:]).all()
