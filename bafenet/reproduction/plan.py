"""Rows and seeds as runs: where each lies, what its result depends on, and how far it is."""
import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from bafenet.arguments import shown
from bafenet.datasets.parts import loader_parts, move_parts
from bafenet.engine.config_paths import setting
from bafenet.engine.options import find_config, load_config, parse_options
from bafenet.engine.silent_logging import quiet
from bafenet.errors import InputError, printable
from bafenet.fileio import atomic_path, write_json

from .columns import has_legacy_sides, require_evaluator
from .depends import LOADERS, METHOD, TEST_KEYS, TEST_LOADERS, difference, result_settings
from .stored import (
    CONFIG_FILE,
    RESULT_FILE,
    SETTINGS_FILE,
    TESTS_FOLDER,
    digest_of,
    epoch_of,
    latest_checkpoint,
    read_failure,
    read_result,
    read_settings,
)
from .table import Row

MAX_SEEDS, MAX_EPOCHS = 1000, 10**6


@dataclass(frozen=True)
class Run:
    """One network trained with one seed, or a classical method, which has none, measured.

    Attributes:
        row: Key of the row; where rows are the same network, of the one that is trained.
        seed: Its seed.
        folder: Where its checkpoints and results are.
        cfg: Its resolved config.
        settings: What its result depends on, as plain JSON values.
        tests: Configs of several tests, by name, instead of the config's own.
    """

    row: str
    seed: int
    folder: Path
    cfg: Config
    settings: dict
    tests: dict[str, Config] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Row and seed."""
        return f'{self.row} seed {self.seed}'

    @property
    def digest(self) -> str:
        """Hash of the settings: equal for runs that give the same result."""
        return digest_of(self.settings)

    @property
    def trains(self) -> bool:
        """Whether it trains a network, or measures a classical method."""
        return METHOD not in self.cfg

    @property
    def epochs(self) -> int:
        """Epochs to train."""
        return self.cfg.train_cfg.max_epochs if self.trains else 0

    @property
    def legacy(self) -> bool:
        """Whether its boxes have sides x2 - x1 + 1."""
        return any(map(has_legacy_sides, self.tests.values() or [self.cfg]))

    def result(self) -> dict | None:
        """What the finished run has written, or None.

        Raises:
            InputError: If that was not written by a run.
        """
        result = read_result(self.folder)
        return result if result and result['digest'] == self.digest else None

    def failure(self) -> str:
        """Why its last try failed, as one line; empty where it did not, or is finished."""
        return '' if self.result() else read_failure(self.folder)

    def epochs_done(self) -> int:
        """Whole epochs from which the run can go on."""
        checkpoint = latest_checkpoint(self.folder)
        return epoch_of(checkpoint) if checkpoint else 0

    def state(self) -> str:
        """How far the run is, for people."""
        if self.result():
            return 'finished'
        done = self.epochs_done()
        return f'interrupted after epoch {done} of {self.epochs}' if done else 'to do'

    def write_settings(self) -> None:
        """Write the configs that the worker reads, and what the result depends on; each whole or not at all."""
        tests = {Path(TESTS_FOLDER, f'{name}.py'): test for name, test in self.tests.items()}
        for file, cfg in {Path(CONFIG_FILE): self.cfg, **tests}.items():
            with atomic_path(self.folder / file) as temporary:
                cfg.dump(temporary)
        write_json(self.folder / SETTINGS_FILE,
                   dict(digest=self.digest, row=self.row, seed=self.seed, settings=self.settings))


def plan_runs(rows: Sequence[Row], protocol: str, seeds: int, work_dir: str, data: str | None = None,
              epochs: int | None = None, options: list[str] | None = None) -> dict[tuple[str, int], Run]:
    """The run of each row and seed; rows that are the same network share theirs.

    Args:
        rows: Rows that have a base for the protocol.
        protocol: One of ``table.PROTOCOLS``.
        seeds: Each row is trained with the seeds 0 to ``seeds - 1``.
        work_dir: Runs lie in ``WORK_DIR/PROTOCOL/ROW/seed_N``.
        data: Devkit, instead of the protocol's.
        epochs: Epochs, instead of the protocol's; see :func:`set_epochs`.
        options: ``KEY=VALUE`` options for every run.

    Returns:
        Runs by (key of the row, seed), the first seed of all rows first.

    Raises:
        InputError: If a config or the data cannot be read, or a run of that name has other settings.
    """
    if seeds < 1 or (epochs is not None and epochs < 1):
        raise InputError('--seeds and --epochs must be at least 1')
    if seeds > MAX_SEEDS or (epochs or 0) > MAX_EPOCHS:
        raise InputError(f'--seeds must be at most {MAX_SEEDS} and --epochs at most {MAX_EPOCHS}')
    folder = Path(work_dir).resolve() / protocol
    configs = {row.key: (row_config(row, protocol, data, epochs, options), {
        test: row_config(row, protocol, data, epochs, options, test) for test in row.tests}) for row in rows}
    known = _stored_runs(folder)
    runs = {}
    for seed in range(seeds):
        for key, (cfg, tests) in configs.items():
            run = _run(folder / key / f'seed_{seed}', seed, cfg, tests)
            _refuse_other_settings(run)
            # The first of equal runs is trained, and one that is there already is the first.
            first = known.setdefault(run.digest, run.folder)
            runs[key, seed] = run if first == run.folder else _run(first, seed, cfg, tests)
    return runs


def row_config(row: Row, protocol: str, data: str | None = None, epochs: int | None = None,
               options: list[str] | None = None, test: str | None = None) -> Config:
    """The config of a row under a protocol, with the settings of one of its tests where that is named.

    Args:
        row: The row.
        protocol: One of ``table.PROTOCOLS``.
        data: As of :func:`plan_runs`.
        epochs: Likewise.
        options: Likewise.
        test: One of ``row.tests``.

    Returns:
        The config; of a classical method its ``method`` and what it is tested on alone.

    Raises:
        InputError: If it cannot be had, or could not be trained, picked and tested; it names row, file or option.
    """
    file = row.base_of(protocol)
    try:
        file = find_config(file)
    except InputError as error:
        raise InputError(f'{row.place}: {error}') from error
    settings = row.settings(protocol, test)
    given = parse_options(options or [])
    _refuse_seed([*settings, ('--cfg-options', given)])
    _refuse_what_tests_set(row, protocol, given, data)
    with quiet():
        cfg = load_config(file, options, settings=settings)
    loaders = LOADERS if row.method is None else TEST_LOADERS
    if row.method is None:
        _require_pick(cfg, file)
    absent = [name for name in loaders if cfg.get(name) is None]
    if absent:
        raise InputError(f'{file}: it has no {", ".join(absent)}; a row is trained, its epoch picked on the validation '
                         'split, and tested')
    _place_data(cfg, file, [name.removesuffix('_dataloader') for name in loaders], data)
    require_evaluator(cfg, row.evaluator, file)
    if row.method is not None:
        return Config({METHOD: row.method._asdict(), **{key: cfg[key] for key in TEST_KEYS}})
    if epochs:
        set_epochs(cfg, epochs)
    return cfg


def _place_data(cfg: Config, file: str, loaders: Iterable[str], data: str | None) -> None:
    """Demand that loaders read files of a folder, and move them to the one that is given."""
    for loader in loaders:
        for part in loader_parts(cfg, loader):
            for key in ('data_root', 'ann_file'):
                if not isinstance(part.settings.get(key), str) and not (key == 'data_root' and data):
                    raise InputError(f'{printable(file)}: {part.key}.{key} must be a path; a row is trained on files '
                                     'of a devkit')
        if data:
            move_parts(cfg, loader, data, f'{printable(file)}: --data')


def _refuse_seed(given: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse a seed among settings, by what they are from: a run has the seed of its folder."""
    for source, settings in given:
        randomness = settings.get('randomness')
        if 'randomness.seed' in settings or isinstance(randomness, dict) and 'seed' in randomness:
            raise InputError(f'{source}: randomness.seed changes nothing: the runs of a row have the seeds from 0 on; '
                             'give their number by --seeds')


def _refuse_what_tests_set(row: Row, protocol: str, options: Iterable[str], data: str | None) -> None:
    """Refuse options, and a devkit, that would make several tests one."""
    for test, values in row.tests.items():
        place = f'{printable(row.file)}: tests.{test}'
        for key in values[protocol]:
            twice = next((own for own in options if f'{own}.'.startswith(f'{key}.') or key.startswith(f'{own}.')), None)
            if twice:
                raise InputError(f'--cfg-options {printable(twice)}: {place} sets {printable(key)}, and each test its '
                                 'own; change it in a table of your own')
            if data and 'data_root' in f'{key} {values[protocol][key]}':
                raise InputError(f'--data: {place} sets {printable(key)}, and each test its own; link the data there, '
                                 'or write a table of your own')


def _require_pick(cfg: Config, source: str) -> None:
    """Refuse a config that names no metric by which an epoch is picked, which would show after the training."""
    names = setting(cfg, 'default_hooks', 'checkpoint', 'save_best')
    names = [names] if isinstance(names, str) else names
    if not names or 'auto' in names:
        raise InputError(f'{printable(source)}: default_hooks.checkpoint.save_best={shown(names)} must name the '
                         'metrics, as densesirst/mAP_12; the epoch of a row is picked by them')


def set_epochs(cfg: Config, epochs: int) -> None:
    """Set the number of epochs and bring all that counts epochs to the new length: the learning rate, late windows.

    So a run of 10 epochs instead of 20 lowers its rate at epochs 4 and 8 instead of 8 and 16. A warm-up that
    counts iterations stays as it is. What would begin after the last epoch is left out.
    """
    before = setting(cfg, 'train_cfg', 'max_epochs')
    if type(before) is not int or before < 1:
        raise InputError(f'--epochs {epochs}: train_cfg.max_epochs is {printable(before)} in the config, and must be a '
                         'whole number of at least 1')
    ratio = epochs / before
    cfg.train_cfg.max_epochs = epochs
    schedulers = cfg.get('param_scheduler') or []
    schedulers = [schedulers] if isinstance(schedulers, dict) else schedulers
    for scheduler in schedulers:
        if scheduler.get('by_epoch', True):
            steps = {key: max(round(scheduler[key] * ratio), 1) for key in ('begin', 'end', 'T_max')
                     if scheduler.get(key)}
            scheduler.update(steps)
            if 'milestones' in scheduler:
                scheduler.milestones = [max(round(step * ratio), 1) for step in scheduler.milestones]
    cfg.param_scheduler = [scheduler for scheduler in schedulers
                           if not scheduler.get('by_epoch', True) or scheduler.get('begin', 0) < epochs]
    # Parts may share the steps of one pipeline.
    for transform in {id(step): step for part in loader_parts(cfg, 'train') for step in part.pipeline}.values():
        if 'late_epoch' in transform:
            transform.late_epoch = max(round(transform.late_epoch * ratio), 1)


def _run(folder: Path, seed: int, cfg: Config, tests: Mapping[str, Config]) -> Run:
    cfg, own = copy.deepcopy(cfg), copy.deepcopy(dict(tests))
    if METHOD in cfg:
        seed = 0
    for one in (cfg, *own.values()) if METHOD not in cfg else ():
        one.setdefault('randomness', {}).seed = seed
    return Run(folder.parent.name, seed, folder, cfg, result_settings(cfg, own), own)


def _stored_runs(folder: Path) -> dict[str, Path]:
    """Folders of the runs that are there, by digest; those with a result count first."""
    files = sorted(folder.glob(f'*/seed_*/{SETTINGS_FILE}'), key=lambda file: file.with_name(RESULT_FILE).is_file())
    return {stored['digest']: file.parent for file in files if (stored := read_settings(file.parent))}


def _refuse_other_settings(run: Run) -> None:
    stored = read_settings(run.folder)
    if stored and stored['digest'] != run.digest:
        same = stored['settings'] == run.settings
        change = 'that only its digest shows' if same else difference(stored['settings'], run.settings)
        raise InputError(f'{printable(run.folder)}: was run with other settings ({printable(change)}); give another '
                         '--work-dir, or delete that folder')
