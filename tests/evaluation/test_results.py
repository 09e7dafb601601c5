"""Files of results that tools/test.py did not write, or that were changed since."""
import json
import os

import pytest

from bafenet.errors import InputError
from bafenet.evaluation.results import read_results

IMAGE = dict(img_id='a', boxes=[[0, 0, 2, 2], [4, 4, 6, 6.5]], scores=[0.5, 1], labels=[0, 0], in_sky=[True, False],
             gt_boxes=[[0, 0, 2, 2]], gt_labels=[0])
CONTENT = dict(config='c.py', checkpoint='a.pth', checkpoint_sha256=None, split='Splits/test_v2.txt',
               metrics={'densesirst/mAP_12': 0.5}, environment=dict(torch='2'), images=[IMAGE, dict(IMAGE, img_id='b')])


def refusal(path, data, **options):
    """The one line that answers a file of these bytes."""
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_results(str(path), **options)
    message = str(caught.value)
    assert message.startswith(f'{path}: ') and message.isprintable() and len(message) < 500
    return message


def test_a_file_as_it_is_written_is_read(tmp_path):
    (tmp_path / 'r.json').write_text(json.dumps(CONTENT))
    assert read_results(str(tmp_path / 'r.json'), list(CONTENT), list(IMAGE)) == CONTENT


@pytest.mark.parametrize(('key', 'value'), [
    ('boxes', [1, 2]), ('boxes', [[1, 2, 3]]), ('boxes', [[0, 0, 1, 'x'], [0, 0, 1, 1]]), ('boxes', None),
    ('boxes', [[0, 0, 1, 1], [0, 0, 1]]), ('boxes', {}), ('boxes', [[0, 0, 1, 1e308], [0, 0, 1, 1]]),
    ('boxes', [[[0, 0, 1, 1]], [[0, 0, 1, 1]]]), ('boxes', [[True] * 4] * 2), ('boxes', 'text'),
    ('boxes', [[0, 0, 1, 10**17], [0, 0, 1, 1]]), ('scores', [0.5]), ('scores', [0.5, 1.5]), ('scores', [-0.1, 1]),
    ('scores', [None, 1]), ('scores', ['1', '1']), ('scores', 0.5), ('scores', [[0.5], [0.5]]),
    ('labels', [0.5, 0]), ('labels', [-1, 0]), ('labels', [True, False]), ('labels', [0]), ('in_sky', [1, 0]),
    ('in_sky', [True]), ('in_sky', ['yes', 'no']), ('gt_boxes', [0, 0, 2, 2]), ('gt_labels', []), ('gt_labels', None),
    ('shape', [10]), ('shape', [0, 10]), ('shape', [1.5, 2]), ('shape', None), ('sky_overlap', [1, -1]),
    ('sky_overlap', [1, 2, 3]), ('sky_overlap', 'a'), ('img_path', 5), ('img_path', None),
    ('img_id', None), ('img_id', ['a']), ('img_id', 0.5), ('img_id', 'b')])
def test_a_field_of_an_image_is_named(tmp_path, key, value):
    content = dict(CONTENT, images=[dict(IMAGE, img_id='b'), dict(IMAGE, **{key: value})])
    message = refusal(tmp_path / 'r.json', json.dumps(content).encode())
    assert 'give such a file' in message
    assert (f'images[1].{key}' in message) or (key == 'img_id' and 'b stands there twice' in message)


@pytest.mark.parametrize(('key', 'value'), [
    ('images', None), ('images', {}), ('images', [IMAGE, 1]), ('images', 'text'), ('metrics', None), ('metrics', [1]),
    ('metrics', {'m': '0.5'}), ('metrics', {'m': True}), ('metrics', {'m': None}), ('metrics', {'m': {}}),
    ('metrics', {'m': 1e300}), ('metrics', {'m\x1b[31m': []}), ('environment', 'here'), ('environment', dict(torch=2)),
    ('split', 3), ('split', None), ('config', ['c.py']), ('checkpoint', None), ('checkpoint_sha256', 5),
    ('seed', 'one'), ('seed', 0.5), ('commit', 5), ('machine', []), ('started', 1), ('seconds', 'long'),
    ('seconds', -1), ('resolved_config', {}), ('training_images', 'all')])
def test_a_field_of_the_file_is_named(tmp_path, key, value):
    assert key in refusal(tmp_path / 'r.json', json.dumps(dict(CONTENT, **{key: value})).encode())


TEXT = json.dumps(CONTENT)


@pytest.mark.parametrize(('data', 'message'), [
    (b'', 'Expecting value'), (b'[]', 'an object'), (b'null', 'an object'), (b'"text"', 'an object'),
    (TEXT.replace('0.5', 'NaN').encode(), 'NaN is no number'), (TEXT.replace('0.5', '-Infinity').encode(), '-Infinity'),
    (TEXT.replace('0.5', '1e999').encode(), '1e999'), (TEXT.replace('0.5', '9' * 5000).encode(), 'is no number'),
    (b'[' * 100_000, 'nested too deeply'), (b'{"images":' * 100_000, 'nested too deeply'),
    (b'{"images": [], "images": []}', 'images stands there twice'), (TEXT.encode('utf-16'), 'not UTF-8'),
    (b'{"images": "\xff"}', 'not UTF-8'), (TEXT[:-30].encode(), 'not what tools/test.py'),
    (b'{"images": [' + b'[],' * 2**21 + b'[]]}', 'lists and objects')])
def test_what_is_no_json_of_ours_is_refused(tmp_path, data, message):
    assert message in refusal(tmp_path / 'r.json', data)


def test_a_file_that_is_too_large_is_refused_before_it_is_parsed(tmp_path):
    with open(tmp_path / 'r.json', 'wb') as file:
        file.truncate(2**26 + 1)
    with pytest.raises(InputError, match='is larger than 64 MiB'):
        read_results(str(tmp_path / 'r.json'))


@pytest.mark.parametrize(('kind', 'message'), [
    ('pipe', 'no regular file'), ('folder', 'no regular file'), ('device', 'no regular file'),
    ('absent', 'No such file')])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, kind, message):
    path = tmp_path / 'r.json'
    if kind == 'pipe':
        os.mkfifo(path)
    elif kind == 'folder':
        path.mkdir()
    elif kind == 'device':
        path.symlink_to('/dev/zero')
    with pytest.raises(InputError, match=message):
        read_results(str(path))


def test_an_image_that_lacks_something_is_told_by_what_it_lacks(tmp_path):
    message = refusal(tmp_path / 'r.json', TEXT.encode(), keys=['more'], image_keys=['gt_masks'])
    assert 'it has no more, gt_masks of its images' in message
