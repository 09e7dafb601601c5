"""Checks of arguments: what is no number, no range or no truth value is named in one line."""
import numpy as np
import pytest

from bafenet.arguments import require_flags, require_number, require_range, require_whole, require_wholes, shown
from bafenet.errors import InputError

NO_NUMBERS = [None, 'one', '3', True, [3], {}, float('nan'), float('inf'), -float('inf'), 10**400, 1j, 0, 11, object()]


@pytest.mark.parametrize('value', NO_NUMBERS)
@pytest.mark.parametrize('whole', [False, True])
def test_no_numbers(value, whole):
    with pytest.raises(InputError, match='^seed is .*; give a (whole )?number from 1 to 10$') as error:
        require_number('seed', value, 1, 10, whole)
    assert len(str(error.value)) < 120


def test_numbers():
    for value in (1, 10, np.int64(3), np.uint8(3)):
        require_number('seed', value, 1, 10, whole=True)
    for value in (1.5, np.float32(1.5), 3):
        require_number('share', value, 1, 10)
    with pytest.raises(InputError, match='^--seed 3.5: give a whole number'):
        require_number('--seed', 3.5, 1, 10, whole=True)


@pytest.mark.parametrize('value', [*NO_NUMBERS, '12', (1, ), (1, 2, 3), (2, 1), (1, 11), (0, 3), (1, None), ('a', 3),
                                   (1, float('nan')), (float('nan'), 3), (1, True), {1: 2, 3: 4}, (1, 2.5)])
def test_no_ranges(value):
    with pytest.raises(InputError, match='^spacing is ') as error:
        require_range('spacing', value, 1, 10, whole=True)
    assert '\n' not in str(error.value)


def test_ranges():
    for value in ((1, 10), [2, 2], np.array([1, 3])):
        require_range('spacing', value, 1, 10, whole=True)


@pytest.mark.parametrize('value', [None, 1, 'False', [], 0.0])
def test_no_truth_values(value):
    with pytest.raises(InputError, match='^BAGCopyPaste: gaussian=.* must be True or False'):
        require_flags('BAGCopyPaste', clustered=True, gaussian=value)


def test_values_are_shown_safely_and_short():
    with pytest.raises(InputError, match=r"^seed is 'a\\x1b\[31m'; ") as error:
        require_number('seed', 'a\x1b[31m', 1, 10)
    with pytest.raises(InputError, match='^seed is a huge number; '):
        require_number('seed', 10**5000, 1, 10)
    with pytest.raises(InputError) as error:
        require_number('seed', 'a' * 10_000, 1, 10)
    assert len(str(error.value)) < 120


def test_constructors_name_the_argument_as_it_is_written():
    with pytest.raises(InputError, match='^Head: channels=0 must be a whole number from 1 to 8$'):
        require_whole('Head', high=8, depth=1, channels=0)
    with pytest.raises(InputError, match='^Head: channels=1.5 must be a whole number of at least 1$'):
        require_whole('Head', channels=1.5)
    with pytest.raises(InputError, match='^Head: radius=0 must be above 0: a number of strides$'):
        require_number('Head: radius', 0, 0, above=True, unit='strides')
    with pytest.raises(InputError, match='^Crop: share=0 must be above 0 and at most 1: a number$'):
        require_number('Crop: share', 0, 0, 1, above=True)
    with pytest.raises(InputError, match=r'^Crop: sizes=\[3, 0\] must be a list of whole numbers, each at least 1$'):
        require_wholes('Crop', sizes=[3, 0])


def test_any_value_is_shown_on_a_short_line():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value, text in ((deep, 'a list too large to show'), (10**5000, 'a huge number'), (np.float32(1.5), '1.5'),
                        ('a\nb', "'a\\nb'"), ([10**5000], 'a list too large to show')):
        assert shown(value) == text
    for value in ('\x1b' * 10**6, list(range(10**5)), np.zeros((50, 50))):
        assert len(shown(value)) <= 60 and shown(value).isprintable() and shown(value).endswith('…')
