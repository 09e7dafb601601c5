"""The text of options: Python literals beside the plain forms, and the way back from values to text."""
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bafenet.engine.option_text import as_option, parse_options
from bafenet.errors import InputError


@pytest.mark.parametrize(('text', 'value'), [
    ("{'a': 1, 'b': [True, None, (2, 'x')]}", {'a': 1, 'b': [True, None, (2, 'x')]}),
    ("dict(a=1, b=dict(c='x y'))", {'a': 1, 'b': {'c': 'x y'}}),
    ("[{'a': 1}, dict(b=2)]", [{'a': 1}, {'b': 2}]),
    ("[dict(b=2)]", [{'b': 2}]),
    ("{'a': 1}, {'b': 2}", [{'a': 1}, {'b': 2}]),
    ('{}', {}),
    ("'a, b'", 'a, b'),
    ("['a, b', 'it''s']", ['a, b', 'its']),
    ("['a, b', \"it's\"]", ['a, b', "it's"]),
    ("'a',", ['a']),
    ("'a','b'", ['a', 'b']),
    ("('a',)", ('a', )),
    ("'None'", 'None'),
    ("'(1'", '(1'),
    # Quotes that are no literal's stay as they are within, as in a path.
    ("it's", "it's"),
    ("a/'b'/c", "a/'b'/c"),
    ('b"x"', 'b"x'),
    # And no literal is looked for in what was plain before.
    ('0x10', '0x10'),
    ('1+2j', '1+2j'),
    ('(1)', (1, )),
    ('1,2', [1, 2]),
    ('-1', -1),
    ('[(-1,64),(64,1e8)]', [(-1, 64), (64, 1e8)]),
])
def test_literals_are_read_as_python_reads_them(text, value):
    found = parse_options([f'a={text}'])['a']
    assert repr(found) == repr(value)


@pytest.mark.parametrize('text', ["{'a'", "{'a': b}", "{'a': true}", 'dict(1)', "{'a': open('x')}", "{'a': 1+1j}",
                                  "{'a': b'x'}", "{'a': {1, 2}}", "{'a': " + str(2**70) + '}', "{(1, 2): 3}",
                                  '{"a": ' + '[' * 500 + ']' * 500 + '}'])
def test_what_is_nearly_a_literal_is_one_line(text):
    with pytest.raises(InputError, match='no Python literal') as caught:
        parse_options([f'a={text}'])
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(('value', 'text'), [
    (3, '3'), (0.002, '0.002'), (True, 'True'), (None, 'None'), ('abc', 'abc'), ('a b', 'a b'), ('', ''),
    ('3', "'3'"), ('None', "'None'"), ('true', "'true'"), ('a,b', "'a,b'"), ('[', "'['"), (' x', "' x'"),
    ('nan', "'nan'"), ("it's", "it's"), ('say "it\'s"', "'say \"it\\'s\"'"), ([1, 2], '[1, 2]'), ((1, ), '(1,)'),
    (((-1, 1e8), ), '((-1, 100000000.0),)'), ({'a': {'b': [(1, 'x')]}}, "{'a': {'b': [(1, 'x')]}}"),
    (float('inf'), '1e999'), ({'a': float('-inf')}, "{'a': -1e999}"), (float('nan'), 'nan'), ([], '[]'), ((), '()'),
    ({'_delete_': True, 'type': 'SGD'}, "{'_delete_': True, 'type': 'SGD'}"), ({}, '{}'),
])
def test_values_are_written_as_they_are_read(value, text):
    assert as_option('a.b', value) == f'a.b={text}'
    assert repr(parse_options([f'a.b={text}'])['a.b']) == repr(value)


@pytest.mark.parametrize('value', [{1, 2}, b'x', 1j, object(), {'a': float('nan')}, {'a': {2, 3}}, 2**80, 'x' * 5000,
                                   {(1, 2): 3}])
def test_what_no_text_is_read_as_is_refused(value):
    with pytest.raises(InputError, match='cannot be written as an option'):
        as_option('a', value)


plain = st.one_of(st.none(), st.booleans(), st.integers(-2**62, 2**62), st.floats(allow_nan=False), st.text(max_size=9),
                  st.sampled_from(["'", '"', "a'b\"c", '(1', ')', '{', '#', '\\', '\n', 'True', '1e5', 'dict(a=1)']))
values = st.recursive(plain, lambda inner: st.one_of(
    st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple),
    st.dictionaries(st.text(max_size=5), inner, max_size=3)), max_leaves=8)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(value=values)
def test_any_plain_value_comes_back(value):
    assert repr(parse_options([as_option('key', value)])['key']) == repr(value)
