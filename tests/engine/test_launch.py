"""What a launcher of several processes must have set."""
import pytest

from bafenet.engine.launch import require_environment
from bafenet.errors import InputError

STARTED = {
    'pytorch': dict(RANK='0', WORLD_SIZE='2', LOCAL_RANK='0', MASTER_ADDR='localhost', MASTER_PORT='29500'),
    'slurm': dict(SLURM_PROCID='1', SLURM_NTASKS='2', SLURM_NODELIST='node[1-2]', SLURM_LOCALID='0'),
    'mpi': dict(OMPI_COMM_WORLD_RANK='0', OMPI_COMM_WORLD_SIZE='1', OMPI_COMM_WORLD_LOCAL_RANK='0',
                MASTER_ADDR='localhost'),
}
STARTERS = dict(pytorch='torchrun', slurm='srun', mpi='mpirun')


@pytest.mark.parametrize('launcher', STARTED)
def test_what_a_launcher_has_started_is_let_through(launcher):
    require_environment(launcher, STARTED[launcher])
    require_environment('none', {})


@pytest.mark.parametrize(('launcher', 'name'), [(launcher, name) for launcher, names in STARTED.items()
                                                for name in names if name != 'SLURM_LOCALID'])
@pytest.mark.parametrize('value', [None, ''])
def test_a_variable_that_is_absent_is_named_with_the_way_to_start(launcher, name, value):
    environment = {key: text for key, text in STARTED[launcher].items() if key != name}
    if value is not None:
        environment[name] = value
    with pytest.raises(InputError) as caught:
        require_environment(launcher, environment)
    message = str(caught.value)
    assert f'{name} is not set' in message and STARTERS[launcher] in message and '\n' not in message


@pytest.mark.parametrize(('launcher', 'changes', 'message'), [
    ('pytorch', dict(RANK='x\x1b'), r'RANK is x\\x1b and no number'), ('pytorch', dict(RANK='-1'), 'RANK is -1'),
    ('pytorch', dict(RANK='2'), 'RANK is 2 and WORLD_SIZE is 2'), ('pytorch', dict(MASTER_PORT='0'), 'no port'),
    ('pytorch', dict(MASTER_PORT='70000'), 'no port'), ('pytorch', dict(WORLD_SIZE='9' * 5000), 'no number'),
    ('slurm', dict(SLURM_LOCALID='one'), 'SLURM_LOCALID is one'), ('mpi', dict(MASTER_PORT='p'), 'MASTER_PORT is p'),
    ('docker', {}, 'no such launcher')])
def test_values_that_cannot_be_are_named(launcher, changes, message):
    with pytest.raises(InputError, match=message):
        require_environment(launcher, {**STARTED.get(launcher, {}), **changes})


def test_this_process_was_started_by_none(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(InputError, match='RANK'):
        require_environment('pytorch')
