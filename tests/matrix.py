"""The smoke set with other versions of Python, PyTorch, NumPy and OpenMMLab, each in an environment (make matrix).

An environment holds what pyproject.toml asks for, in the versions that its pair names, the package, and pytest: 5 to 7
GB, removed after its run. The table is printed and put into docs/compatibility.md, a row for each pair that ran.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'compatibility.md'
# The operators against plain statements of them; which of them there are is said of mmcv 2.1 and mmdet 3.3 alone.
SMOKE = ('tests/test_smoke.py', 'tests/compat/operators', '--ignore=tests/compat/operators/test_operators_coverage.py')
FORKS = {'mmengine': 'onedl-mmengine', 'mmcv-lite': 'onedl-mmcv', 'mmdet': 'onedl-mmdetection'}
COLUMNS = ('pair', 'Python', 'PyTorch', 'torchvision', 'NumPy', 'OpenMMLab', 'smoke set', 'commit')
INSTALL_TIMEOUT, SMOKE_TIMEOUT, LONGEST_LINE = 7200, 3600, 200  # seconds, seconds, characters


class Pair(NamedTuple):
    """An interpreter and what is installed for it.

    Attributes:
        name: Of the row.
        python: Its version, as in ``python3.10``.
        versions: ``'lowest'`` or ``'highest'`` that pyproject.toml allows, or ``'pinned'`` by requirements.txt.
        forks: Whether the maintained forks are there in the place of mmengine, mmcv-lite and mmdet.
    """

    name: str
    python: str
    versions: str
    forks: bool = False


PAIRS = (
    Pair('oldest', '3.10', 'lowest'),
    Pair('newest', '3.13', 'highest'),
    Pair('forks', '3.12', 'pinned', forks=True),
)


class Outcome(NamedTuple):
    """What came of a pair: its row's values by column, and whether the smoke set passed; None where it did not run."""

    row: dict[str, str]
    passed: bool | None


class StepFailedError(Exception):
    """A step of a pair failed, in one line."""


def requirements(pair: Pair) -> list[Requirement]:
    """What the package asks for, ONNX files too, with the forks in the place of what they fork."""
    asked = map(Requirement, metadata.requires('bafenet') or ())
    wanted = [one for one in asked if one.marker is None or one.marker.evaluate({'extra': 'onnx'})]
    if not pair.forks:
        return wanted
    return [Requirement(FORKS[one.name]) if one.name in FORKS else one for one in wanted]


def constraints(pair: Pair) -> list[str]:
    """Lines of a constraints file of pip."""
    if pair.versions == 'lowest':
        lowest = {one.name: next((part.version for part in one.specifier if part.operator == '>='), None)
                  for one in requirements(pair)}
        return [f'{name}=={version}.*' for name, version in lowest.items() if version is not None]
    if pair.versions == 'pinned':
        lines = (ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines()
        return [line for line in lines if line and not line.startswith('#')]
    return []


def find_python(version: str) -> str | None:
    """The command of an interpreter of a version that really starts, or None."""
    for command in (shutil.which(f'python{version}'), sys.executable):
        if command:
            done = subprocess.run([command, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])'],
                                  capture_output=True, text=True)
            if done.returncode == 0 and done.stdout.strip() == version:
                return command
    return None


def run(command: Sequence[str | Path], log: Path, timeout: int) -> int:
    """Run a command in the checkout, its output behind what is in the log, and return its exit code."""
    environment = {key: value for key, value in os.environ.items() if key not in ('PYTHONPATH', 'VIRTUAL_ENV')}
    with log.open('a', encoding='utf-8') as out:
        out.write(f'$ {" ".join(map(str, command))}\n')
        out.flush()
        try:
            return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, stdout=out,
                                  stderr=subprocess.STDOUT, timeout=timeout).returncode
        except subprocess.TimeoutExpired as error:
            raise StepFailedError(f'not done after {timeout} s') from error


def install(pair: Pair, command: str, folder: Path, log: Path) -> Path:
    """Make the environment and return its interpreter."""
    limits = folder.with_suffix('.txt')
    limits.write_text('\n'.join(constraints(pair)) + '\n', encoding='utf-8')
    python = folder / 'bin' / 'python'
    pip = (python, '-m', 'pip', 'install')
    asked = [str(one).partition(';')[0].strip() for one in requirements(pair)]
    for step in ((command, '-m', 'venv', folder), (*pip, '-c', limits, *asked, 'pytest>=8,<10'),
                 (*pip, '--no-deps', '-e', ROOT)):
        if run(step, log, INSTALL_TIMEOUT):
            lines = [line for line in log.read_text(encoding='utf-8').splitlines() if line.lower().startswith('error')]
            raise StepFailedError(f'cannot be installed: {lines[-1] if lines else f"see {log}"}')
    return python


def installed(python: Path) -> dict[str, str]:
    """Versions of an environment's packages by name, in lower case."""
    done = subprocess.run([python, '-m', 'pip', 'list', '--format', 'json', '--disable-pip-version-check'],
                          capture_output=True, text=True, check=True)
    return {one['name'].lower(): one['version'] for one in json.loads(done.stdout)}


def smoke(python: Path, log: Path) -> tuple[bool, str]:
    """Run the smoke set: whether it passed, and in words how many tests did or the first that did not."""
    report = log.with_suffix('.xml')
    report.unlink(missing_ok=True)
    code = run((python, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--tb=short', '--junitxml', report, *SMOKE),
               log, SMOKE_TIMEOUT)
    if not report.is_file():
        raise StepFailedError(f'pytest ended with exit code {code}: see {log}')
    return summary(ElementTree.parse(report), code)


def summary(report: ElementTree.ElementTree, code: int) -> tuple[bool, str]:
    """What a report of pytest (JUnit's XML) and its exit code say."""
    cases = report.findall('.//testcase')
    bad = [(case, case.find(kind)) for case in cases for kind in ('failure', 'error') if case.find(kind) is not None]
    run_cases = sum(case.find('skipped') is None for case in cases)
    if bad:
        case, failure = bad[0]
        reason = (failure.get('message') or '').strip().partition('\n')[0]
        place = f'{case.get("classname", "")}::{case.get("name")}'
        return False, f'{len(bad)} of {run_cases} failed, first {place}: {reason}'
    return code == 0 and run_cases > 0, f'{run_cases} passed' if code == 0 else f'pytest ended with exit code {code}'


def try_pair(pair: Pair, folder: Path, keep: bool, code: str) -> Outcome:
    """Make the environment of a pair, run the smoke set in it, and remove it."""
    row = dict.fromkeys(COLUMNS, '–') | {'pair': pair.name, 'Python': pair.python, 'commit': code}
    command = find_python(pair.python)
    if command is None:
        return Outcome(row | {'smoke set': f'not run: Python {pair.python} is not installed'}, None)
    log, environment = folder / f'{pair.name}.log', folder / pair.name
    log.unlink(missing_ok=True)
    try:
        python = install(pair, command, environment, log)
        versions = installed(python)
        parts = [f'{name} {versions[name]}' for name in (FORKS.values() if pair.forks else FORKS) if name in versions]
        row |= {'PyTorch': versions.get('torch', '–'), 'torchvision': versions.get('torchvision', '–'),
                'NumPy': versions.get('numpy', '–'), 'OpenMMLab': ', '.join(parts)}
        passed, text = smoke(python, log)
    except StepFailedError as error:
        passed, text = False, str(error)
    finally:
        if not keep:
            shutil.rmtree(environment, ignore_errors=True)
    return Outcome(row | {'smoke set': cell(text)}, passed)


def cell(text: str) -> str:
    """A text as a cell of a table: without the checkout's place, one line, not too long."""
    line = re.sub(r'\s+', ' ', text.replace(f'{ROOT}{os.sep}', '')).replace('|', r'\|')
    return line if len(line) <= LONGEST_LINE else f'{line[:LONGEST_LINE - 2]} …'


def commit() -> str:
    """The commit of the checkout, ten digits of it, with ``-dirty`` where files differ from it."""
    done = subprocess.run(['git', 'describe', '--always', '--dirty', '--abbrev=10', '--exclude=*'], cwd=ROOT,
                          capture_output=True, text=True)
    return done.stdout.strip() or '–'


def table(rows: Iterable[dict[str, str]]) -> str:
    """Rows as a Markdown table."""
    lines = [COLUMNS, ('---', ) * len(COLUMNS), *([row[column] for column in COLUMNS] for row in rows)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def rows_of(text: str) -> dict[str, dict[str, str]]:
    """Rows of a page's table by pair."""
    body = text.partition(table(()))[2].partition('\n\n')[0]
    cells = [re.split(r'(?<!\\)\s*\|\s*', line.strip()[1:-1].strip()) for line in body.strip().splitlines()]
    return {line[0]: dict(zip(COLUMNS, line, strict=True)) for line in cells}


def with_rows(text: str, outcomes: Iterable[Outcome]) -> str:
    """A page whose table has the rows of what ran; those of other pairs stay."""
    before = rows_of(text)
    rows = before | {outcome.row['pair']: outcome.row for outcome in outcomes if outcome.passed is not None}
    order = [rows[pair.name] for pair in PAIRS if pair.name in rows]
    return text.replace(table(before.values()), table(order))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pairs; 0 if all that ran passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    names = [pair.name for pair in PAIRS]
    parser.add_argument('--pairs', nargs='+', choices=names, default=names, help='which of them; all by default')
    parser.add_argument('--dir', type=Path, default=ROOT / 'work_dirs' / 'matrix', help='for environments and logs')
    parser.add_argument('--keep', action='store_true', help='keep the environments; one that is there is used again')
    args = parser.parse_args(arguments)
    folder = args.dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # At once: the page is of the checkout too.
    outcomes, code = [], commit()
    for pair in PAIRS:
        if pair.name in args.pairs:
            print(f'{pair.name}: Python {pair.python}, {pair.versions} versions, log in {folder / pair.name}.log',
                  flush=True)
            outcomes.append(try_pair(pair, folder, args.keep, code))
            print(f'{pair.name}: {outcomes[-1].row["smoke set"]}', flush=True)
            PAGE.write_text(with_rows(PAGE.read_text(encoding='utf-8'), outcomes), encoding='utf-8')
    print(table(outcome.row for outcome in outcomes))
    ran = [outcome.passed for outcome in outcomes if outcome.passed is not None]
    return 0 if ran and all(ran) else 1


if __name__ == '__main__':
    sys.exit(main())
