"""Escape text from files in Markdown and in Rich's tables, so that none of it is taken as markup."""
import html
import re
from typing import Any

from rich.text import Text

from .errors import printable


def markdown_text(value: Any) -> str:
    """Text for a paragraph or a table's cell in Markdown: no HTML, no code, no link, no other cell, no other line."""
    text = html.escape(printable(value), quote=False).replace('`', '&#96;').replace('|', r'\|')
    # A link or a picture; brackets around words are common and do no harm.
    return re.sub(r'\](?=[(\[:])', '&#93;', text)


def markdown_code(value: Any) -> str:
    """Text as code in Markdown, or as plain text where code could not hold it safely."""
    text = printable(value)
    if re.search('[`<>&]', text) or not text.strip():
        return markdown_text(text)
    return '`{}`'.format(text.replace('|', r'\|'))


def cell(value: Any) -> Text:
    """Text for a table of Rich, which would read ``[red]`` and ``:smile:`` as markup."""
    return Text(printable(value))
