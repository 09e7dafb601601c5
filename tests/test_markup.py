"""Text from files stays text, in Markdown and in Rich's tables."""
import io

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from rich.table import Table

from bafenet.evaluation.report import print_metrics
from bafenet.markup import cell, markdown_code, markdown_text

HOSTILE = ['<script>alert(1)</script>', '<img src=x onerror=y>', '`</code><b>`', 'a | b', 'a\n\n# head', '&lt;b&gt;',
           '[x](javascript:y)', '![x](http://y/z.png)', '[x]: http://y', '\x1b[31mred', '\u202eltr', '` `` ```', '']
PLAIN = ['python tools/train.py configs/a.py --seed 0', '3a28173', '[0.5, 1]', '4 cores, 79 minutes',
         'channel → spatial']


@pytest.mark.parametrize('write', [markdown_text, markdown_code])
@pytest.mark.parametrize('text', HOSTILE)
def test_nothing_but_text_comes_out_of_markdown(write, text):
    page = f'| a | b |\n|---|---|\n| {write(text)} | end |\n'
    assert page.isascii() or page.replace('\n', '').isprintable()
    rendered = MarkdownIt('commonmark', dict(html=True)).enable('table').render(page)
    assert rendered.count('<td>') == 2 and '<td>end</td>' in rendered and '\x1b' not in rendered
    for tag in ('<script', '<img', '<b>', '<h1', '<a '):
        assert tag not in rendered


@pytest.mark.parametrize('text', PLAIN)
def test_plain_text_stays_as_it_is(text):
    assert markdown_text(text) == text and markdown_code(text) == f'`{text}`'


@pytest.mark.parametrize('text', ['[red]x', '[/nothing]', '[link=http://y]x[/link]', ':smile:', '\x1b[31mx', '\\[a]'])
def test_a_cell_of_a_table_is_no_markup(text):
    stream = io.StringIO()
    table = Table('head', title=cell(text))
    table.add_row(cell(text))
    Console(file=stream, width=80).print(table)
    assert stream.getvalue().count(text.replace('\x1b', r'\x1b')) == 2


def test_the_name_of_a_metric_is_no_markup(capsys):
    print_metrics({'a/[b]\x1b[31m': 0.5})
    assert r'[b]\x1b[31m' in capsys.readouterr().out
