"""Random options: a config comes back, or one printable line."""
from copy import deepcopy

import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bafenet.compat.config_text import parse_config
from bafenet.engine import options as module
from bafenet.engine.config_values import iterate_settings
from bafenet.engine.options import load_config
from bafenet.engine.registered import require_known_types
from bafenet.errors import InputError

CONFIGS = [str(ROOT / 'configs' / name) for name in (
    'demo/bafenet_r18_demo_bagcp.py', 'bafenet/bafenet_hr_tiny_densesirst.py', 'bafenet/bafenet_r50_densesirst.py')]
READ = {name: module._read(name) for name in CONFIGS}
KEYS = sorted({setting.key for cfg in READ.values() for setting in iterate_settings(cfg.to_dict(), 'config')})
# What the constructors take and the configs do not name, and what is no key at all.
MORE = ['optim_wrapper.optimizer.betas', 'optim_wrapper.clip_grad.max_norm', 'train_dataloader.prefetch_factor',
        'model.backbone.deep_stem', 'model.backbone.plugins', 'default_hooks.checkpoint.save_begin', 'launcher',
        'train_dataloader.dataset.indices', 'model.bbox_head.norm_on_bbox', 'custom_imports.imports.0']
TEXT = st.text(st.characters(codec='utf-8'), max_size=12)
PARTS = st.sampled_from(['', '0', '-1', '99', '²', '__class__', '_delete_', '_base_', 'type', 'pop', 'x', '\x1b[31m'])
key = st.one_of(
    st.sampled_from(KEYS + MORE),
    st.builds(lambda start, part: f'{start}.{part}', st.sampled_from(KEYS), PARTS),
    st.builds('.'.join, st.lists(st.one_of(PARTS, TEXT), max_size=4)))
scalar = st.one_of(
    st.integers().map(str), st.floats().map(str), TEXT, st.sampled_from(
        ['None', 'True', 'false', '', 'nan', '-inf', '1e400', '9' * 30, "'x'", '{', "{'a':1}", 'dict(a=1)', 'ResNet',
         'AdamW', 'EMAHook', 'nms', 'a.b', 'os.path', '/tmp/x y', '\x1b[2J', '\0', '0x10', '1_000']))
value = st.recursive(scalar, lambda inner: st.one_of(
    st.lists(inner, max_size=4).map(lambda items: f'[{",".join(items)}]'),
    st.lists(inner, max_size=4).map(lambda items: f'({",".join(items)})'),
    st.lists(inner, max_size=4).map(','.join)), max_leaves=6)
option = st.one_of(st.builds(lambda name, text: f'{name}={text}', key, value), TEXT)


@pytest.fixture(autouse=True, scope='module')
def configs_are_read_once():
    patch = pytest.MonkeyPatch()
    patch.setattr(module, '_read', lambda file: deepcopy(READ[file]))
    yield
    patch.undo()


def check_line(error):
    assert str(error) and str(error).isprintable()


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(config=st.sampled_from(CONFIGS), given_options=st.lists(option, min_size=1, max_size=3))
def test_any_option_is_taken_or_refused_in_one_line(config, given_options):
    try:
        load_config(config, given_options)
    except InputError as error:
        check_line(error)


names = st.one_of(st.text(max_size=5), st.integers(), st.sampled_from(['type', '_scope_', 'items']))
literal = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4),
              st.complex_numbers()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple),
                            st.dictionaries(names, inner, max_size=4)),
    max_leaves=10)
statement = st.builds(lambda name, item: f'{name} = {item!r}', st.sampled_from(
    ['model', 'a', 'filename', 'text', '_base_', 'a.b', 'a, b', 'items', '__class__', '']), literal)
code = st.sampled_from(
    ['import os', 'dict(', 'a = dict(**{})', 'a = dict(1)', 'a = open("x")', 'a = b', 'a += 1', '\0'])


@settings(max_examples=200, deadline=1000, suppress_health_check=list(HealthCheck), derandomize=True)
@given(lines=st.lists(st.one_of(statement, code, TEXT), max_size=4))
def test_any_text_of_a_config_is_plain_values_or_refused_in_one_line(lines):
    try:
        cfg = parse_config('\n'.join(lines), 'a.pth')
        require_known_types(cfg.to_dict(), 'a.pth')
    except InputError as error:
        check_line(error)
        assert str(error).startswith('a.pth: ')
