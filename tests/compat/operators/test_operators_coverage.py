"""Every compiled operator of mmcv is here or named as left out, who calls them is true, and the page says it all."""
import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from bafenet.compat.operators import COVERED, LEFT_OUT
from bafenet.compat.operators import __dict__ as operators

# isort: split
from mmcv import ops

PAGE = Path(__file__).resolve().parents[3] / 'docs' / 'operators.md'
MMCV_OPS, MMDET = (Path(find_spec(name).submodule_search_locations[0]) for name in ('mmcv.ops', 'mmdet'))
# What mmdet imports of mmcv.ops that is plain PyTorch there.
NOT_COMPILED = {'CornerPool', 'point_sample', 'rel_roi_point_to_rel_img_point', 'ConcatCell', 'GlobalPoolingCell',
                'SumCell'}
COLUMNS = ('`mmcv.ops`', 'covered by', 'gradient', 'used by')


def compiled_names():
    """Names that mmcv's Python code asks its compiled module for."""
    for file in MMCV_OPS.glob('*.py'):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'load_ext':
                yield from ast.literal_eval(node.args[1])


def imported_by_mmdet():
    """Pairs of a file of mmdet and a name that it imports of mmcv.ops."""
    for file in (*MMDET.glob('models/**/*.py'), *MMDET.glob('structures/**/*.py'), *MMDET.glob('apis/*.py')):
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmcv.ops'):
                for alias in node.names:
                    yield file.relative_to(MMDET).as_posix(), alias.name


def row_of(name):
    return next(row for row in COVERED if name in row.names)


def tables():
    """The page's two tables as Markdown."""
    rows = [(', '.join(f'`{name}`' for name in row.names), row.stands_on, row.backward, row.used_by)
            for row in COVERED]
    lines = [COLUMNS, ('---', ) * len(COLUMNS), *rows]
    out = [('for', 'functions of `mmcv._ext`', 'instead'), ('---', ) * 3,
           *((row.what, ', '.join(f'`{name}`' for name in row.functions), f'`{row.instead}`' if row.instead else '')
             for row in LEFT_OUT)]
    return ['\n'.join(f'| {" | ".join(line)} |' for line in each) for each in (lines, out)]


def test_every_compiled_operator_is_in_one_place():
    here = [function.__name__ for row in COVERED for function in row.functions]
    absent = [name for row in LEFT_OUT for name in row.functions]
    own = [name for name in operators if name.startswith('get_compil')]
    assert sorted([*here, *absent, *own]) == sorted(compiled_names())


def test_names_are_those_of_mmcv():
    assert not [name for row in COVERED for name in row.names if not hasattr(ops, name)]


def test_all_that_mmdet_imports_is_covered_and_says_who_calls():
    callers = {}
    for file, name in imported_by_mmdet():
        if name not in NOT_COMPILED:
            callers.setdefault(row_of(name).names, set()).add(file)
    for names, files in callers.items():
        listed = set(row_of(names[0]).callers)
        named = {file for file in files if any(file == each or file.startswith(f'{each}/') for each in listed)}
        # NMS has a dozen callers, of which the table names the two that the others stand on.
        assert named if 'nms' in names else files - named <= {'apis/inference.py'}


@pytest.mark.parametrize('row', COVERED, ids=lambda row: row.names[0])
def test_callers_are_there(row):
    for place in row.callers:
        files = [MMDET / place] if place.endswith('.py') else [*(MMDET / place).glob('*.py')]
        text = '\n'.join(file.read_text(encoding='utf-8') for file in files)
        assert any(name in text for name in (*row.names, 'getattr(ops, layer_type)', 'build_conv_layer'))


def test_page_has_the_tables():
    # To write the page anew, put what tables() returns in the place of its own.
    text = PAGE.read_text(encoding='utf-8')
    for table in tables():
        assert table in text
