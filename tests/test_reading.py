"""Files from anywhere: regular and bounded, or one line; JSON as the standard has it."""
import os
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bafenet.errors import InputError
from bafenet.reading import open_file, parse_json, read_bytes, read_json, read_regular


@pytest.fixture
def places(tmp_path) -> dict:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'loop').symlink_to('loop')
    return {'pipe': tmp_path / 'pipe', 'folder': tmp_path, 'device': '/dev/zero', 'absent': tmp_path / 'absent\x1b',
            'loop': tmp_path / 'loop', 'no name': tmp_path / 'a\0b', 'long': tmp_path / ('a' * 300)}


@pytest.mark.parametrize(('place', 'message'), [
    ('pipe', 'is a pipe or device and no regular file; replace the file'), ('folder', 'is a folder'),
    ('device', 'is a pipe or device'), ('absent', 'no such file'), ('loop', 'cannot be read'),
    ('no name', 'cannot be read'), ('long', 'cannot be read')])
def test_only_regular_files_are_read(places, place, message):
    for read in (open_file, read_bytes):
        with pytest.raises(InputError, match=f': {message}') as error:
            read(places[place])
        assert str(error.value).isprintable()
    with pytest.raises((OSError, ValueError)):
        read_regular(places[place])
    with pytest.raises(InputError, match=r': not a list of names \(.+\); write one$') as error:
        read_json(places[place], 'a list of names', 'write one')
    assert str(error.value).isprintable()


def test_files_are_bounded(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'12345')
    assert read_bytes(path, 5) == read_regular(path, 5) == b'12345'
    with open_file(path) as file:
        assert file.read() == b'12345'
    with pytest.raises(InputError, match='file: is larger than'):
        read_bytes(path, 4)
    with pytest.raises(ValueError, match='^it is larger than'):
        read_regular(path, 4)


@pytest.mark.parametrize('content', [
    b'', b'{', b'\xff\xfe', b'[' * 100_000, b'1' * 10_000, b'NaN', b'[-Infinity]', b'1e999', b'{"a": 1, "a": 2}',
    b'{"\\u001b": 1, "\\u001b": 2}', b'[' + b'[],' * 2**21 + b'[]]'], ids=lambda data: repr(data[:12]))
def test_json_that_is_none(tmp_path, content):
    path = tmp_path / 'file.json'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'file.json: not JSON \(.+\); replace the file$') as error:
        read_json(path)
    assert str(error.value).isprintable() and len(str(error.value)) < 300 + len(str(path))


def test_json(tmp_path):
    path = tmp_path / 'file.json'
    path.write_bytes(b'\xef\xbb\xbf{"a": [1, 2.5, "\xc3\xa9", null, true]}')
    assert read_json(path) == {'a': [1, 2.5, 'é', None, True]}


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=200), st.text(alphabet='[]{}",:1eE.-nulltrfas\\ \n', max_size=60).map(
    str.encode)))
def test_anything_is_json_or_a_value_error(content):
    with suppress(ValueError):
        parse_json(content)
