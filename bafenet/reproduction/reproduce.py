"""Reproduce a table: plan its runs, train and test what is missing, print it (``tools/reproduce.py``)."""
import sys
from collections.abc import Iterable
from pathlib import Path

from mmengine.registry import init_default_scope

from bafenet.engine.option_text import as_option
from bafenet.engine.options import load_config
from bafenet.engine.silent_logging import quiet
from bafenet.errors import InputError, one_line, printable
from bafenet.fileio import require_writable_file, require_writable_folder, write_json, write_text
from bafenet.markup import markdown_text
from bafenet_command import call_of

from .estimate import LEFT_OUT, duration, time_frame, time_step
from .listing import describe_tables
from .plan import Run, plan_runs, row_config
from .report import build_report, markdown
from .table import Row, Table
from .tables import choose_protocol, select_tables
from .train_commands import command_options, testing_commands, train_command
from .worker import launch

Runs = dict[tuple[str, int], Run]


def reproduce(table: str | None,
              protocol: str | None = None,
              seeds: int = 3,
              epochs: int | None = None,
              data: str | None = None,
              work_dir: str = 'work_dirs/reproduce',
              report_only: bool = False,
              dry_run: bool = False,
              cfg_options: list[str] | None = None,
              rows: list[str] | None = None,
              splits: str | None = None,
              commands: bool = False,
              list_only: bool = False) -> int:
    """Train and test what a table lacks, then print it and write ``WORK_DIR/PROTOCOL/table_N.md`` and ``.json``.

    Args:
        table: Table, group of tables, or file of a table; see :func:`~bafenet.reproduction.tables.select_tables`. None
            with ``list_only`` alone.
        protocol: One of ``table.PROTOCOLS``; None for the table's usual one.
        seeds: Each row is trained with the seeds 0 to ``seeds - 1``.
        epochs: Epochs, instead of the protocol's.
        data: Folder of the data, instead of the protocol's.
        work_dir: Runs lie in ``WORK_DIR/PROTOCOL/ROW/seed_N``.
        report_only: Run nothing; print what is finished.
        dry_run: Run nothing; print what would run and how long it would take.
        cfg_options: ``KEY=VALUE`` options for every run.
        rows: Keys of the rows that are run; None for all. The tables are printed whole.
        splits: The config's ``splits`` in every run; None for the protocol's.
        commands: Run nothing; print for each row the command of ``tools/train.py`` that trains it, and those of
            ``tools/test.py`` where it has tests of its own.
        list_only: Run nothing; print the rows of the table, or without one all tables.

    Returns:
        Exit status: 0, 1 if a run failed, 130 if it was interrupted.

    Raises:
        InputError: Where the input is bad; nothing was run then.
    """
    if list_only or table is None:
        print(describe_tables(table))
        return 0
    chosen = select_tables(table)
    protocol = choose_protocol(chosen, protocol)
    options = [*([as_option('splits', splits)] if splits else []), *(cfg_options or [])]
    if commands:
        _print_commands(_rows_of(rows, chosen), protocol, data, epochs, options)
        return 0
    stems = {one.key: Path(work_dir, protocol, f'table_{one.key}') for one in chosen}
    if not dry_run:
        require_writable_folder(work_dir, '--work-dir')
        for stem in stems.values():
            require_writable_file(stem.with_suffix('.md'), '--work-dir')
            require_writable_file(stem.with_suffix('.json'), '--work-dir')
    keys = {row.key for row in _rows_of(rows, chosen)}
    runs = plan_runs([row for one in chosen for row in one.runnable], protocol, seeds, work_dir, data, epochs, options)
    wanted = {(key, seed): run for (key, seed), run in runs.items() if key in keys}
    _say_what_is_shared(wanted)
    if dry_run:
        _print_estimate(wanted)
        return 0
    try:
        failures = 0 if report_only else _run_missing(_each_once(wanted))
    except KeyboardInterrupt:
        _say('interrupted: the same command goes on from the last whole epoch, or starts again where there is none')
        return 130
    for one in chosen:
        report = build_report(one, protocol, runs, seeds, epochs, options)
        stem = stems[one.key]
        write_text(stem.with_suffix('.md'), text := markdown(report))
        write_json(stem.with_suffix('.json'), report)
        print(text)
        _say(f'wrote {stem}.md and .json')
    return 1 if failures else 0


def _say(text: str) -> None:
    """Print beside the tables, which alone go to the standard output."""
    print(printable(text), file=sys.stderr, flush=True)


def _rows_of(keys: list[str] | None, tables: Iterable[Table]) -> list[Row]:
    """The rows of these keys, each once; all if there is none."""
    known = {row.key: row for table in tables for row in table.runnable}
    unknown = [key for key in keys or () if key not in known]
    if unknown:
        raise InputError(f'--rows {printable(" ".join(unknown))}: no such row; choose from {", ".join(known)}')
    return [row for key, row in known.items() if not keys or key in keys]


def _print_commands(rows: list[Row], protocol: str, data: str | None, epochs: int | None, options: list[str]) -> None:
    if epochs:
        raise InputError('--commands: with --epochs a run changes its schedule too, which no command of '
                         f'{call_of("train")} says; leave one of them out')
    for row in (row for row in rows if row.method is None):
        for test in (None, *row.tests):
            _require_same(row, protocol, data, options, test)
    print('\n'.join('\n'.join([f'# {row.key}: {printable(row.title)}', train_command(row, protocol, data, options),
                               *testing_commands(row, protocol, data, options)]) for row in rows))


def _require_same(row: Row, protocol: str, data: str | None, options: list[str], test: str | None) -> None:
    """Refuse options with which the command of a row would be refused, or would not be its run."""
    expected = row_config(row, protocol, data, options=options, test=test)
    try:
        with quiet():
            cfg = load_config(row.base_of(protocol), command_options(row, protocol, data, options, test))
    except InputError as error:
        raise InputError(f'{row.place}: no one command gives what it sets and these options ({error})') from error
    if cfg.to_dict() != expected.to_dict():
        raise InputError(f'{row.place}: no one command gives what it sets and these options; write a config of your '
                         'own')


def _each_once(runs: Runs) -> list[Run]:
    return list({run.folder: run for run in runs.values()}.values())


def _say_what_is_shared(runs: Runs) -> None:
    shared = {key: run.row for (key, _), run in runs.items() if key != run.row}
    for row, first in shared.items():
        _say(f'{row} is the same network as {first}: trained once')


def _run_missing(runs: Iterable[Run]) -> int:
    """Do the runs that are not finished; returns how many failed."""
    missing = [run for run in runs if not run.result()]
    failed = 0
    for number, run in enumerate(missing, 1):
        _say(f'[{number}/{len(missing)}] {run.name} ({run.state()}) in {run.folder}')
        try:
            run.write_settings()
            launch(run.folder)
        except (InputError, OSError) as error:
            failed += 1
            _say(f'error: {run.name}: {one_line(error)}')
    return failed


def _print_estimate(runs: Runs) -> None:
    """Print each run with its state and, where it is not finished, the time that it will take."""
    init_default_scope('mmdet')
    estimates, total = {}, 0.0
    print('| run | state | epochs to train | s per step | steps per epoch | time |\n|---|---|---:|---:|---:|---:|')
    for run in _each_once(runs):
        cells = [markdown_text(run.name), run.state()]
        if run.result():
            cells += ['0', '', '', '']
        else:
            if run.row not in estimates:
                with quiet():
                    estimates[run.row] = time_step(run.cfg) if run.trains else time_frame(run.cfg, run.settings)
            estimate, epochs = estimates[run.row], run.epochs - run.epochs_done()
            total += (seconds := estimate.seconds(epochs if run.trains else 1))
            cells += [str(epochs), f'{estimate.step:.3f}', str(estimate.steps_per_epoch), duration(seconds)]
        print(f'| {" | ".join(cells)} |', flush=True)
    print(f'\nAbout {duration(total)} in all, one run after another on this machine, from one timed step of each row. '
          f'Left out: {LEFT_OUT}.')
