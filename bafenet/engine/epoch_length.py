"""Resuming with another batch size: iterations an epoch then and now, and what of a schedule counts iterations."""
from collections.abc import Iterator
from typing import NamedTuple

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..errors import InputError, printable

KEY = 'schedule'  # in the meta data of a checkpoint


class EpochLength(NamedTuple):
    """How long an epoch of a training is.

    Attributes:
        iterations: Of one process.
        batch_size: Images an iteration, over all processes; 0 where it is not known.
        processes: How many; 0 where it is not known.
    """

    iterations: int
    batch_size: int = 0
    processes: int = 0

    @classmethod
    def of(cls, runner: Runner) -> 'EpochLength':
        """That of a runner whose training loop is built."""
        loader = runner.train_dataloader
        batch = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None) or 0
        return cls(len(loader), int(batch) * get_world_size(), get_world_size())

    @classmethod
    def recorded(cls, meta: dict) -> 'EpochLength | None':
        """That of a checkpoint; None where it was written before this was noted."""
        noted = meta.get(KEY, {})
        return cls(**{name: noted.get(name, 0) for name in cls._fields}) if noted.get('iterations') else None

    def to_meta(self) -> dict:
        """What a checkpoint holds."""
        return self._asdict()

    def __str__(self) -> str:
        return f'{self.iterations} iterations' + (f' of {self.batch_size} images' if self.batch_size else '')


def require_same_epochs(runner: Runner, meta: dict, source: str) -> None:
    """Refuse to go on in a schedule by iterations where an epoch has another number of them than before.

    A schedule by epochs goes on, with a warning; the runner's ``iter`` stays the number of iterations done, and its
    ``max_iters`` becomes what that will be at the end.

    Args:
        runner: A runner that has resumed.
        meta: Meta data of the checkpoint.
        source: Its name, for messages.

    Raises:
        InputError: If what counts iterations, or a learning rate scaled with the batch size, would be wrong.
    """
    here, by_epoch = EpochLength.of(runner), isinstance(runner.train_loop, EpochBasedTrainLoop)
    there = EpochLength.recorded(meta) or (_inferred(runner, here) if by_epoch else here)
    scales = bool((runner.cfg.get('auto_scale_lr') or {}).get('enable'))
    wrong = [*_counting_iterations(runner, by_epoch)] if not _alike(there, here) else []
    if scales and here.batch_size != there.batch_size and (there.batch_size or not _alike(there, here)):
        wrong.append('the learning rate that auto_scale_lr has scaled')
    if wrong:
        raise InputError(f'checkpoint {printable(source)} has epochs of {there}, and an epoch has {here} '
                         f'here: {" and ".join(dict.fromkeys(wrong))} would be wrong; resume with the batch '
                         'size and the data of before, or start a new run from its weights with load_from alone')
    if not by_epoch:
        return
    runner.train_loop._max_iters = runner.iter + (runner.max_epochs - runner.epoch) * here.iterations
    if not _alike(there, here):
        runner.logger.warning(f'{printable(source)} is of {runner.epoch} epochs and {runner.iter} iterations; an epoch '
                              f'has {here.iterations} here: the schedule goes on by epochs')


def _alike(one: EpochLength, other: EpochLength) -> bool:
    """Whether epochs are equally long; shares of more or fewer processes are rounded, by up to one iteration."""
    rounds = one.batch_size == other.batch_size and one.processes != other.processes
    return abs(one.iterations - other.iterations) <= (1 if rounds else 0)


def _inferred(runner: Runner, here: EpochLength) -> EpochLength:
    """From the place of a checkpoint, which may be in the middle of an epoch; as here where that fits."""
    if 0 <= runner.iter - runner.epoch * here.iterations < here.iterations:
        return here
    return EpochLength(max(runner.iter // max(runner.epoch, 1), 1))


def _counting_iterations(runner: Runner, by_epoch: bool) -> Iterator[str]:
    """What of a training that is not over yet goes by iterations, in words."""
    if not by_epoch:
        yield 'the loop by iterations'
    schedulers = runner.param_schedulers or []
    lists = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
    for scheduler in (scheduler for one in lists for scheduler in one):
        if not scheduler.by_epoch and scheduler._global_step + 1 < scheduler.end:
            yield f'the place in {type(scheduler).__name__} by iterations'
