"""Results on disk: what was written before a disk was full is kept, and what a result lacks is made again."""
import json
import resource

import pytest

from bafenet.apis.records import LINES, Records, stamp_of
from bafenet.errors import InputError


def record(name: str, **more) -> dict:
    return dict(frame=name, boxes=[[1.0, 2.0, 3.0, 4.0]] * 50, scores=[0.5] * 50, **more)


def test_a_full_disk_is_one_line_and_keeps_what_was_there(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Records(tmp_path, {}) as records:
        records.add(record('a'), [1, 2])
        size = (tmp_path / LINES).stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, before[1]))
        try:
            with pytest.raises(InputError, match=f'{LINES}: cannot be written .*; make room'):
                records.add(record('b'), [1, 2])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (tmp_path / LINES).stat().st_size == size + 100
    with Records(tmp_path, {}) as records:
        assert records.has('a', [1, 2]) and not records.has('b', [1, 2]) and not records.has('a', [1, 3])
        records.add(record('b'), [1, 2])
        assert records.get('b')['scores'] == [0.5] * 50
    assert [json.loads(line)['frame'] for line in (tmp_path / LINES).read_text().splitlines()] == ['a', 'b']


@pytest.mark.parametrize('key', ['picture', 'sky_map'])
def test_a_picture_that_is_gone_is_made_again(tmp_path, key):
    (tmp_path / 'place').mkdir()
    file = tmp_path / 'place/a.png'
    file.write_bytes(b'picture')
    stamp = stamp_of(str(file))
    with Records(tmp_path, {}) as records:
        records.add(record('a', **{key: 'place/a.png'}), stamp)
        assert records.has('a', stamp)
    with Records(tmp_path, {}) as records:
        assert records.has('a', stamp)
        file.unlink()
        assert not records.has('a', stamp)


def test_lines_of_another_program_are_refused(tmp_path):
    for line in ('{}', '[1]', 'text', '{"frame": "a"}', '{"frame": "a", "stamp": [1], "picture": 3}',
                 '{"frame": [], "stamp": [1]}'):
        (tmp_path / LINES).write_text(f'{line}\n')
        with pytest.raises(InputError, match=f'{LINES}: is (none|there)'):
            Records(tmp_path, {})
        (tmp_path / 'settings.json').write_text('{}')
