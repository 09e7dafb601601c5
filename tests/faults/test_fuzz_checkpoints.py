"""Whatever a checkpoint holds, it is read, resumed or refused in one line: no traceback, no hang, no memory."""
import copy
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer, MessageHub, MMLogger
from mmengine.visualization import Visualizer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'engine'))
from toy_runs import checkpoint_hook, toy_runner, validation  # noqa: E402

from bafenet.engine import checkpoints  # noqa: E402
from bafenet.engine.network import build_network  # noqa: E402
from bafenet.engine.options import parse_config  # noqa: E402
from bafenet.errors import InputError  # noqa: E402
from bafenet_command import describe  # noqa: E402

pytestmark = pytest.mark.usefixtures('bounded_memory')

SCHEDULE = [{'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}]
# Without shrinking, which takes minutes.
SLOW = settings(max_examples=400, deadline=10_000, derandomize=True, phases=[Phase.generate],
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
QUICK = settings(SLOW, max_examples=25)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.binary(max_size=5),
    st.sampled_from([[], {}, (), [1], {'a': 1}, {1: 2}, 10**30, -1, 'epoch', '\x1b[31m', '../../x', set()]),
    st.builds(torch.zeros, st.lists(st.integers(0, 4), max_size=3)),
    st.builds(torch.full, st.just((2, )), st.sampled_from([np.nan, np.inf, 1e30])),
    st.builds(np.zeros, st.integers(0, 3)), st.builds(HistoryBuffer),
    st.just(torch.zeros(1).expand(10**9)))


def places(node: Any, path: tuple = ()) -> list[tuple]:
    """Paths of all values in nested dicts and lists."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


@pytest.fixture(scope='module')
def run(tmp_path_factory) -> Path:
    """A run of two epochs. Not to be changed."""
    folder = tmp_path_factory.mktemp('run')
    toy_runner(folder, epochs=2, **checkpoint_hook(save_best='toy/error', rule='less'), **validation(),
               param_scheduler=SCHEDULE).train()
    return folder


def spoil(checkpoint: dict, place: tuple, value: Any, drop: bool) -> None:
    *path, key = place
    for part in path:
        checkpoint = checkpoint[part]
    if drop:
        del checkpoint[key]
    else:
        checkpoint[key] = value


def forget_earlier_runs() -> None:
    """Loggers and hubs of mmengine live on, and each new one looks at all of them."""
    for manager in (MMLogger, MessageHub, Visualizer):
        manager._instance_dict.clear()


def resume_or_refuse(run: Path, folder: Path, data) -> None:
    forget_earlier_runs()
    checkpoint = torch.load(run / 'epoch_2.pth', weights_only=True)
    for _ in range(data.draw(st.integers(1, 3))):
        everywhere = [place for place in places(checkpoint) if place]
        spoil(checkpoint, data.draw(st.sampled_from(everywhere)), data.draw(VALUES), data.draw(st.booleans()))
        if not checkpoint:
            break
    folder.mkdir(exist_ok=True)
    file = folder / 'epoch_2.pth'
    torch.save(checkpoint, file)
    runner = toy_runner(folder, epochs=3, resume=True, load_from=str(file), param_scheduler=copy.deepcopy(SCHEDULE),
                        **checkpoint_hook(save_best='toy/error', rule='less'), **validation())
    try:
        runner.train()
    except Exception as error:
        # What no check foresees, and no step before the first epoch's end meets, is one line of a tool all the same.
        assert describe(error).isprintable()
        assert not isinstance(error, InputError) or 'epoch_2.pth' in str(error)
        assert not (folder / 'epoch_3.pth').exists()
    for left in folder.glob('epoch_3.pth'):
        left.unlink()


@given(data=st.data())
@QUICK
def test_a_field_of_any_value_is_resumed_or_refused(run, tmp_path, data):
    resume_or_refuse(run, tmp_path / 'run', data)


@pytest.mark.faults
@given(data=st.data())
@SLOW
def test_fields_of_many_values_are_resumed_or_refused(run, tmp_path, data):
    resume_or_refuse(run, tmp_path / 'run', data)


@given(data=st.data())
@settings(QUICK, max_examples=100)
def test_a_file_with_flipped_bytes_is_read_or_refused(run, tmp_path, data):
    content = bytearray((run / 'epoch_2.pth').read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / 'flipped.pth'
    file.write_bytes(content[:data.draw(st.sampled_from([len(content), len(content) // 2, 3]))])
    try:
        checkpoints.load_from_local(file, map_location='cpu')
    except InputError as error:
        assert str(error).isprintable() and 'flipped.pth' in str(error)


@pytest.fixture(scope='module')
def shipped() -> dict:
    return checkpoints.load_from_local('bafenet_hr_tiny')


@pytest.mark.faults
@given(data=st.data())
@settings(SLOW, max_examples=300)
def test_a_config_of_any_value_builds_a_network_or_is_refused(shipped, data):
    cfg = parse_config(shipped['meta']['cfg'], 'shipped.pth').to_dict()
    plain = st.one_of(st.none(), st.booleans(), st.integers(-3, 10**6), st.floats(), st.text(max_size=5),
                      st.sampled_from([[], {}, [1, 2], 4096, 10**12, 'BAFEHead', {'type': 'BN'}]),
                      st.just({'type': 'os.getpid'}))
    everywhere = [place for place in places(cfg['model']) if place]
    spoil(cfg['model'], data.draw(st.sampled_from(everywhere)), data.draw(plain), data.draw(st.booleans()))
    try:
        build_network(parse_config('\n'.join(f'{key} = {value!r}' for key, value in cfg.items()
                                             if 'nan' not in repr(value) and 'inf' not in repr(value)), 'x.pth'),
                      shipped, 'x.pth')
    except InputError as error:
        assert str(error).isprintable() and 'x.pth' in str(error)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    for index, content in enumerate([[1], 'text', 3, None, torch.zeros(2), {}]):
        stream = io.BytesIO()
        torch.save(content, stream)
        file = tmp_path / f'{index}.pth'
        file.write_bytes(stream.getvalue())
        if content == {}:
            assert checkpoints.load_from_local(file) == {}
            continue
        with pytest.raises(InputError, match='not a dict|no checkpoint'):
            checkpoints.load_from_local(file)
