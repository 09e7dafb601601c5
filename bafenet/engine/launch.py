"""Launchers (torchrun, Slurm, MPI): the environment of several processes, checked before they wait for each other."""
import os
from collections.abc import Mapping
from typing import NamedTuple

from bafenet.errors import InputError, printable

_MAX_PORT = 2**16 - 1


class _Launcher(NamedTuple):
    """How a launcher is called, and the variables that mmengine reads: numbers, the rank and the size first; texts."""

    call: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]


_LAUNCHERS: dict[str, _Launcher] = {
    'pytorch': _Launcher('torchrun --nproc_per_node=N', ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_PORT'),
                         ('MASTER_ADDR', )),
    'slurm': _Launcher('srun --ntasks=N python', ('SLURM_PROCID', 'SLURM_NTASKS'), ('SLURM_NODELIST', )),
    'mpi': _Launcher('MASTER_ADDR=HOST mpirun -n N python',
                     ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
                     ('MASTER_ADDR', )),
}
# The last two launchers do without, and read them where they are set.
_OPTIONAL = ('MASTER_PORT', 'SLURM_LOCALID')


def require_environment(launcher: str, environment: Mapping[str, str] | None = None) -> None:
    """Check that a launcher has started this process.

    Args:
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        environment: Its variables; this process's where it is None.

    Raises:
        InputError: If the launcher is another, or a variable that it sets is absent or no such number.
    """
    if launcher == 'none':
        return
    environment = os.environ if environment is None else environment
    if launcher not in _LAUNCHERS:
        raise InputError(f'--launcher {printable(launcher)}: there is no such launcher; give none, '
                         f'{", ".join(_LAUNCHERS)}')
    _, numbers, texts = _LAUNCHERS[launcher]
    absent = [name for name in (*numbers, *texts) if not environment.get(name)]
    if absent:
        raise _not_started(launcher, f'{", ".join(absent)} {"is" if len(absent) == 1 else "are"} not set')
    values = {name: _number(launcher, name, environment[name]) for name in (*numbers, *_OPTIONAL)
              if environment.get(name)}
    rank, size = (values[name] for name in numbers[:2])
    if rank >= size:
        raise _not_started(launcher, f'{numbers[0]} is {rank} and {numbers[1]} is {size}')
    if not 0 < values.get('MASTER_PORT', 1) <= _MAX_PORT:
        raise _not_started(launcher, f'MASTER_PORT is {values["MASTER_PORT"]} and no port')


def processes(launcher: str, environment: Mapping[str, str] | None = None) -> int:
    """How many processes a launcher has started; 1 where it is ``'none'``. See :func:`require_environment`."""
    if launcher not in _LAUNCHERS:
        return 1
    environment = os.environ if environment is None else environment
    name = _LAUNCHERS[launcher].numbers[1]
    return max(_number(launcher, name, environment.get(name) or '1'), 1)


def _number(launcher: str, name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _not_started(launcher, f'{name} is {printable(text)} and no number')
    return int(text)


def _not_started(launcher: str, reason: str) -> InputError:
    return InputError(f'--launcher {launcher}: {reason}; start the tool by {_LAUNCHERS[launcher].call} TOOL …, or '
                      'leave --launcher out for one process')
