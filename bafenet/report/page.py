"""The page itself: templates filled with escaped text, styles and scripts inside it, nothing from anywhere else."""
import base64
import hashlib
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bafenet.errors import printable

TEMPLATES = Path(__file__).parent / 'templates'


def render(**content: Any) -> str:
    """The whole page as text.

    Args:
        **content: What ``report.html.jinja`` shows; text of any content.
    """
    style, script = (TEMPLATES.joinpath(name).read_text(encoding='utf-8') for name in ('report.css', 'report.js'))
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, finalize=_readable, keep_trailing_newline=True)
    environment.filters.update(lines=_lines, anchor=_anchor)
    return environment.get_template('report.html.jinja').render(
        style=Markup(style), script=Markup(script), policy=_policy(style, script), **content)


def _policy(style: str, script: str) -> str:
    """What a browser may do with the page: show pictures that are in it, this one style and this one script."""
    style_hash, script_hash = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
                               for text in (style, script))
    return (f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; "
            "base-uri 'none'; form-action 'none'")


def _readable(value: Any) -> Any:
    """Text without control characters, which are no characters of HTML, whatever a file's name has."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


def _lines(text: str) -> Markup:
    """Text of several lines, escaped."""
    return Markup('\n').join(printable(line.expandtabs()) for line in text.splitlines())


def _anchor(number: int) -> str:
    return f'run-{number}'
