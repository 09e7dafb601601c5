"""The text of a checkpoint's config: bounded, plain, and never executed."""
import resource
import time

import pytest
from conftest import ROOT, a_third
from mmengine.config import Config

from bafenet.compat.config_text import parse_config
from bafenet.compat.registered_types import require_known_types
from bafenet.errors import InputError

LARGE = {
    'more than a mebibyte': 'a = "' + 'x' * 2**20 + '"',
    'many dicts': 'a = [' + '{},' * 300_000 + ']',
    'many names': 'a = 1\n' * 150_000,
    'brackets': 'a = ' + '[' * 150 + ']' * 150,
    'more brackets': 'a = ' + '(' * 9000 + ')' * 9000,
    'signs': 'a = ' + '-' * 900_000 + '1',
    'nots': 'a = ' + 'not ' * 9000 + '1',
    'sums': 'a = 1' + '+1' * 9000,
    'dots': 'a = b' + '.c' * 9000,
    'lambdas': 'a = ' + 'lambda:' * 9000 + '1',
    'a long number': 'a = ' + '9' * 5000,
    'a long hexadecimal': 'a = 0x' + 'f' * 10**6,
    'a number of 65 bits': 'a = 0x1' + '0' * 16,
    'names of many parts': 'a = ' + 'dict(b=' * 90 + '1' + ')' * 90,
}


@pytest.mark.parametrize('text', LARGE.values(), ids=LARGE)
def test_a_text_that_is_larger_than_any_config_is_refused_at_once(text):
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match='a.pth: its config is more than plain values') as caught:
        parse_config(text, 'a.pth')
    assert time.perf_counter() - start < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize('text', [
    'filename = 1', 'text = "x"', 'pretty_text = 1', 'env_variables = {}', 'a = 1j', 'a = b"x"', 'a = {1, 2}',
    'a = ...', 'a = {(1, 2): 3}', 'a, b = 1, 2', 'a.b = 1', 'a = b = 1', 'a += 1', 'import os',
    'a = dict(**{})', 'a = dict(1)', '\0', 'a = "\ud800"', 'a = f"{1}"', 'a = [i for i in (1, 2)]', None, b'a = 1', 5])
def test_what_no_config_holds_is_refused(text):
    with pytest.raises(InputError, match='a.pth: its config is more than plain values') as caught:
        parse_config(text, 'a.pth')
    assert str(caught.value).isprintable()


def test_what_python_would_warn_of_is_not_printed(recwarn):
    assert parse_config(r'a = "\[\d"', 'a.pth').a == r'\[\d'
    assert not recwarn.list


@pytest.mark.parametrize('file', a_third(sorted(file for file in (ROOT / 'configs').rglob('*.py')
                                               if '_base_' not in file.parts)), ids=lambda file: file.stem)
def test_every_config_is_read_back(file):
    cfg = Config.fromfile(file, import_custom_modules=False)
    assert parse_config(cfg.pretty_text, 'a.pth').to_dict() == cfg.to_dict()


def test_types_are_looked_for_within_bounds():
    deep, loop = dict(type='FCOS'), {}
    for _ in range(60):
        deep = dict(a=deep)
    loop.update(a=[loop, loop], b=(loop, ))
    with pytest.raises(InputError, match='nested deeper than 40 levels'):
        require_known_types(deep, 'a.pth')
    require_known_types(loop, 'a.pth')
    for name in ('os.system', 3, ['FCOS'], None, 'x\x1b[31m'):
        with pytest.raises(InputError, match='which is no part of a network') as caught:
            require_known_types(dict(a=[dict(type=name)]), 'a.pth')
        assert str(caught.value).isprintable()
