"""``Config.fromstring``: the text of a config, such as a checkpoint holds, read as data and never executed."""
import ast
import re
import warnings
from typing import Any

from mmengine.config import Config
from mmengine.config.config import RESERVED_KEYS

from ..errors import InputError, first_line
from ..renamed import with_new_names
from .registered_types import MAX_DEPTH, require_known_types

MAX_TEXT = 2**20  # characters; a config has ten thousand
MAX_TOKENS = 20_000  # names, numbers and signs; a config has three thousand
_TOKEN = re.compile(r'\w+|[^\w\s]')
_PLAIN = (str, int, float, bool, type(None))


def parse_config(text: str, source: str) -> Config:
    """Read the text of a config, such as a checkpoint holds, without executing it; renamed values get their new names.

    Args:
        text: Assignments of literals and of ``dict(key=literal)`` calls, as ``Config.pretty_text`` writes them.
        source: What it is the text of, for the message.

    Raises:
        InputError: If there is anything else in it, or it is larger or nested deeper than any config.
    """
    try:
        _require_size(text)
        values = {}
        for statement in _parse(text, 'exec').body:
            target, = statement.targets
            values[target.id] = ast.literal_eval(statement.value)
        reserved = [name for name in values if name in RESERVED_KEYS]
        if reserved:
            raise ValueError(f'{reserved[0]} is reserved')
        require_plain(values)
        return Config(with_new_names(values))
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f'{source}: its config is more than plain values ({type(error).__name__}: '
                         f'{first_line(error)}); nothing in it was executed') from error


def parse_literal(text: str) -> Any:
    """The value of a Python literal, in which ``dict(key=literal)`` is one too.

    Raises:
        SyntaxError: If it is no Python; ValueError, TypeError, AttributeError, RecursionError or MemoryError if it is
            no literal, or nested too deep for the parser.
    """
    return ast.literal_eval(_parse(text, 'eval').body)


def _parse(text: str, mode: str) -> Any:
    with warnings.catch_warnings():
        # What Python would say of the text goes past the message, unescaped.
        warnings.simplefilter('ignore')
        return _PlainDicts().visit(ast.parse(text, mode=mode))


def config_as_data(cfg_str: str, file_format: str) -> Config:
    """Stand in for ``Config.fromstring``, by which mmengine and mmdet execute the config in a checkpoint.

    Args:
        cfg_str: The config's text, as for :func:`parse_config`.
        file_format: ``'.py'``.

    Raises:
        InputError: If the text holds more than plain values, or names what is no registered part.
    """
    source = 'the config in a checkpoint'
    if file_format != '.py':
        raise InputError(f'{source} is of the format {file_format!r}: only .py is read')
    cfg = parse_config(cfg_str, source)
    require_known_types(cfg.to_dict(), source)
    return cfg


def install() -> None:
    """Make mmengine and mmdet (``DetInferencer``) read the config in a checkpoint by :func:`config_as_data`."""
    Config.fromstring = staticmethod(config_as_data)


class _PlainDicts(ast.NodeTransformer):
    """Turns ``dict(a=1)`` into ``{'a': 1}``, which is a literal."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if getattr(node.func, 'id', None) != 'dict' or node.args or any(item.arg is None for item in node.keywords):
            return node
        return ast.Dict([ast.Constant(item.arg) for item in node.keywords], [item.value for item in node.keywords])

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f'{twice!r} stands there twice')
        return node


def _require_size(text: Any) -> None:
    """Bound the text before Python's parser, which takes hundreds of bytes a sign, sees it."""
    if not isinstance(text, str):
        raise TypeError(f'a {type(text).__name__} and no text')
    if len(text) > MAX_TEXT:
        raise ValueError(f'{len(text)} characters, of at most {MAX_TEXT}')
    if any(count > MAX_TOKENS for count, _ in enumerate(_TOKEN.finditer(text), 1)):
        raise ValueError(f'more than {MAX_TOKENS} names, numbers and signs')


def require_plain(values: Any) -> None:
    """Refuse what no config holds and what mmengine stumbles over.

    Raises:
        ValueError: If a value is no text, number, truth value, None, dict or list, or is nested deeper than any config.
    """
    nodes = [(values, 0)]
    while nodes:
        node, depth = nodes.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f'nested deeper than {MAX_DEPTH} levels')
        if isinstance(node, dict):
            if not all(isinstance(key, (str, int)) for key in node):
                raise ValueError('a key that is neither text nor a whole number')
            nodes += [(item, depth + 1) for item in node.values()]
        elif isinstance(node, (list, tuple)):
            nodes += [(item, depth + 1) for item in node]
        elif not isinstance(node, _PLAIN):
            raise ValueError(f'a {type(node).__name__}')
        elif isinstance(node, int) and abs(node) >= 2**63:
            raise ValueError('a whole number of more than 64 bits')
