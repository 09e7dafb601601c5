"""Architecture: which room may import which, circles, file lengths, environment variables, first lines of modules."""
import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# From the ground up. A room imports rooms of lower floors alone; single modules, which are one floor, each other too.
FLOORS = (
    ('bafenet_command', ),
    ('_version', 'arguments', 'display', 'errors', 'fields', 'fileio', 'markup', 'parallel', 'plain_yaml', 'reading',
     'renamed', 'weights'),
    ('devkit', ),
    ('synthesis', 'classical'),
    ('compat', ),
    ('datasets', 'models', 'evaluation'),
    ('engine', 'visualization'),
    ('apis', 'release'),
    ('analysis', ),
    ('reproduction', ),
    ('report', ),
    ('__init__', '__main__'),
    ('tools', ),
)
FRAMEWORKS = ('mmcv', 'mmdet', 'mmengine', 'torch', 'torchvision')
# Nothing is chosen by an environment variable. These read what others set.
READS_ENVIRONMENT = {
    'bafenet/engine/launch.py': 'ranks and addresses, from the launcher',
    'bafenet/engine/train.py': 'ranks, from the launcher',
    'bafenet/display.py': 'whether there is a display',
    'bafenet/engine/prepare.py': 'the workspace of cuBLAS',
    'bafenet/reproduction/worker.py': 'handed on to the process that trains',
}
SINGLE_MODULES = FLOORS[1]
# Rooms of NumPy and OpenCV, what they stand on, and how the tools start: what they may not import.
FREE_OF_FRAMEWORKS = ('bafenet_command', *SINGLE_MODULES, 'devkit', 'synthesis', 'classical')
LONGEST_FILE, LONGEST_FIRST_LINE = 350, 120


def modules(root: Path) -> dict[str, Path]:
    """Files by module name, ``bafenet.devkit.read``; a package is its ``__init__`` and has the package's name."""
    found = {}
    folders = ('bafenet', 'bafenet_command', 'tools')
    for file in sorted(file for folder in folders for file in root.glob(f'{folder}/**/*.py')):
        if not file.relative_to(root).as_posix().startswith('bafenet/configs/'):
            parts = file.relative_to(root).with_suffix('').parts
            found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = file
    return found


def imports(name: str, file: Path, known: dict[str, Path]) -> Iterator[tuple[str, int]]:
    """Modules that a module imports, in functions too, and the line; of a package, its submodule where it has one."""
    package = name.split('.') if file.name == '__init__.py' else name.split('.')[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            start = package[:len(package) - node.level + 1] if node.level else []
            target = '.'.join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield (f'{target}.{alias.name}' if f'{target}.{alias.name}' in known else target), node.lineno


def room(name: str) -> str:
    """``devkit`` of ``bafenet.devkit.read``, ``tools`` of any tool, ``__init__`` of ``bafenet`` itself."""
    first, *others = name.split('.')
    return first if first != 'bafenet' else others[0] if others else '__init__'


def wrong_arrows(root: Path) -> list[str]:
    """Imports of a room that is not on a lower floor, as lines."""
    floor = {one: height for height, rooms in enumerate(FLOORS) for one in rooms}
    known = modules(root)
    problems = [f'{file.relative_to(root)}: the room {room(name)} stands on no floor'
                for name, file in known.items() if room(name) not in floor]
    for name, file in known.items():
        for target, line in imports(name, file, known):
            here, there = room(name), room(target)
            if target.split('.')[0] != 'bafenet' or here == there or here not in floor or there not in floor:
                continue
            if floor[there] >= floor[here] and not {here, there} <= set(SINGLE_MODULES):
                problems.append(f'{file.relative_to(root)}:{line}: {here} imports {there}')
    return problems


def circles(root: Path) -> list[str]:
    """Circles of imports between modules, each once, as ``a → b → a``."""
    known = modules(root)
    edges = {name: sorted({target for target, _ in imports(name, file, known) if target in known and target != name})
             for name, file in known.items()}
    found: dict[frozenset, str] = {}
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            circle = path[path.index(name):]
            found.setdefault(frozenset(circle), ' → '.join([*circle, name]))
        elif name not in done:
            for target in edges[name]:
                visit(target, [*path, name])
            done.add(name)

    for name in edges:
        visit(name, [])
    return list(found.values())


def framework_imports(root: Path) -> list[str]:
    """Imports of a deep-learning framework in the rooms that know none."""
    known = modules(root)
    return [f'{file.relative_to(root)}:{line}: {target}' for name, file in known.items()
            if room(name) in FREE_OF_FRAMEWORKS for target, line in imports(name, file, known)
            if target.split('.')[0] in FRAMEWORKS]


def environment_reads(root: Path) -> list[str]:
    """Uses of ``os.environ`` and ``os.getenv`` in files that are not listed, and variables of our own anywhere."""
    problems = []
    for file in modules(root).values():
        place = file.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Attribute) and node.attr in ('environ', 'getenv') \
                    and place.startswith('bafenet/') and place not in READS_ENVIRONMENT:
                problems.append(f'{place}:{node.lineno}: reads the environment')
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith('BAFENET_'):
                problems.append(f'{place}:{node.lineno}: {node.value}')
    return problems


def bad_first_lines(root: Path) -> list[str]:
    """Modules without a docstring, or whose first line is too long to be one."""
    problems = []
    for file in modules(root).values():
        doc = ast.get_docstring(ast.parse(file.read_text(encoding='utf-8')))
        first = (doc or '').partition('\n')[0]
        if not first or len(first) > LONGEST_FIRST_LINE:
            problems.append(f'{file.relative_to(root)}: {len(first)} characters in the first line')
    return problems


def long_files(root: Path, files: list[str]) -> list[str]:
    """Files of more lines than fit a reader's head."""
    lines = {file: (root / file).read_bytes().count(b'\n') for file in files if (root / file).is_file()}
    return [f'{file}: {count} lines' for file, count in lines.items() if count > LONGEST_FILE]


CHECKS = (wrong_arrows, circles, framework_imports, environment_reads, bad_first_lines)


@pytest.mark.parametrize('check', CHECKS)
def test_the_house_is_in_order(check):
    assert not check(ROOT)


def test_no_python_file_is_too_long():
    listed = subprocess.run(['git', 'ls-files', '*.py'], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode or not listed.stdout:
        pytest.skip('not a git checkout')
    assert not long_files(ROOT, listed.stdout.split())


def test_every_test_file_has_a_name_of_its_own():
    names = [file.name for file in (ROOT / 'tests').rglob('test_*.py')]
    assert not {name for name in names if names.count(name) > 1}  # pytest would collect only one of them


def test_no_config_reads_the_environment():
    assert not [str(file) for file in ROOT.glob('configs/**/*.py') if '{{$' in file.read_text(encoding='utf-8')]


# A tree with one fault, and the check that has to find it.
FAULTS = [
    (wrong_arrows, {'devkit/read.py': 'from bafenet.engine.runner import run', 'engine/runner.py': ''}),
    (wrong_arrows, {'models/head.py': 'from ..datasets import Set', 'datasets/__init__.py': ''}),
    (wrong_arrows, {'errors.py': 'def f():\n    import bafenet.devkit.read', 'devkit/read.py': ''}),
    (wrong_arrows, {'engine/runner.py': 'import bafenet'}),
    (wrong_arrows, {'../bafenet_command/parser.py': 'from bafenet.errors import InputError', 'errors.py': ''}),
    (wrong_arrows, {'attic/junk.py': ''}),
    (circles, {'devkit/read.py': 'from .write import w', 'devkit/write.py': 'def f():\n    from .read import r'}),
    (circles, {'devkit/__init__.py': 'from .read import r', 'devkit/read.py': 'from bafenet.devkit import r'}),
    (framework_imports, {'synthesis/scenes.py': 'def f():\n    from torch import nn'}),
    (framework_imports, {'fileio.py': 'import mmengine'}),
    (environment_reads, {'engine/options.py': "import os\nos.environ.get('HOME')"}),
    (environment_reads, {'engine/launch.py': "splits = 'BAFENET_SPLITS'"}),
    (bad_first_lines, {'errors.py': None}),
    (bad_first_lines, {'fileio.py': f'"""{"long " * 30}"""'}),
]


@pytest.mark.parametrize(('check', 'files'), FAULTS)
def test_each_check_finds_its_fault(tmp_path, check, files):
    for place, text in {'__init__.py': '', **files}.items():
        file = tmp_path / 'bafenet' / place
        file.parent.mkdir(parents=True, exist_ok=True)
        docstring = '' if text is None or text.startswith('"""') else '"""A module."""\n'
        file.write_text(f'{docstring}{text or ""}\n', encoding='utf-8')
    assert len(check(tmp_path)) == 1
    assert not [problem for one in CHECKS if one is not check for problem in one(tmp_path)]


def test_a_long_file_is_found(tmp_path):
    (tmp_path / 'long.py').write_text('\n' * (LONGEST_FILE + 1), encoding='utf-8')
    assert long_files(tmp_path, ['long.py']) == [f'long.py: {LONGEST_FILE + 1} lines']
