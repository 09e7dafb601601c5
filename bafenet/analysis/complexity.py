"""Parameters and FLOPs of configs, beside the paper's."""
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmdet.models.dense_heads import EmbeddingRPNHead
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bafenet.errors import InputError, printable
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell
from bafenet.plain_yaml import read_yaml

from ..engine.options import find_config, load_config

# The paper's inputs are 512x512.
PAPER_SHAPE = (512, 512)
# Parameters and FLOPs of its Table VII. Those parameters of BAFE-Net contain 0.850 M that are built and never run.
TABLE = 'configs/tables/VII.yaml'
# Of the later version we know the FLOPs alone, from the board of the paper's release.
RELEASE = dict(bafenet_dynamic_r50=(None, 71.64))
UNITS = dict(M=1e6, G=1e9, T=1e12)
# A difference from the paper's number that is worth a look.
NOTABLE = 0.02
# Of a side of the input in pixels: features of larger ones fill the memory of any machine.
MAX_SIDE = 8192


def report(configs: Sequence[str], shape: tuple[int, int] | None = None, out: str | None = None) -> list[dict]:
    """Compare configs, print a table and, with ``out``, write it as JSON; see :func:`compare`.

    Raises:
        InputError: As :func:`compare`, or if ``out`` cannot be written.
    """
    require_json_name(out)
    init_default_scope('mmdet')
    rows = compare(configs, shape)
    print_comparison(rows)
    if out:
        write_json(out, rows)
    return rows


def compare(configs: Sequence[str], shape: tuple[int, int] | None = None) -> list[dict]:
    """Count each config's network; see :func:`count`.

    Args:
        configs: Config files.
        shape: Height and width of the input in pixels; None for each config's ``input_size``, or 512x512.

    Returns:
        Per config: what :func:`count` gives, ``config`` and ``paper``, a dict of the paper's ``params_m`` and
        ``flops_g``, each None where there is no number for this network at this input.

    Raises:
        InputError: If a config cannot be read, or the shape is no shape.
    """
    if shape and not 1 <= min(shape) <= max(shape) <= MAX_SIDE:
        raise InputError('--shape {} {}: both must be at least 1 and at most {}'.format(*shape, MAX_SIDE))
    rows = []
    for path in configs:
        cfg = load_config(path)
        height, width = shape or input_shape(cfg, path)
        rows.append(dict(config=path, **count(cfg, height, width), paper=paper_numbers(path, (height, width))))
    return rows


def input_shape(cfg: Config, source: str = 'the config') -> tuple[int, int]:
    """Height and width of a config's input: its ``input_size``, which is (width, height), or 512x512.

    Args:
        cfg: The config.
        source: Its file, for the message.

    Raises:
        InputError: If ``input_size`` is no such pair.
    """
    size = cfg.get('input_size', PAPER_SHAPE[::-1])
    if not (isinstance(size, (list, tuple)) and len(size) == 2
            and all(type(side) is int and 1 <= side <= MAX_SIDE for side in size)):
        raise InputError(f'{printable(source)}: input_size is {printable(size)}; give (width, height), each from 1 to '
                         f'{MAX_SIDE}')
    return size[1], size[0]


def paper_numbers(config: str, shape: tuple[int, int]) -> dict[str, float | None]:
    """The paper's numbers for a config's network, which its file's name begins with, whatever protocol trains it."""
    known = _known_networks() if tuple(shape) == PAPER_SHAPE else {}
    params, flops = known.get(network_of(config), (None, None))
    return dict(params_m=params, flops_g=flops)


def network_of(config: str) -> str:
    """The name of a config's network, which its file's name begins with: the key of its row in Table VII."""
    return re.sub(r'(_scratch|_paper)?(_densesirst)?$', '', Path(config).stem)


def _known_networks() -> dict[str, tuple[float | None, float | None]]:
    """Million parameters and giga FLOPs by the key of a network's row."""
    file = find_config(TABLE)
    content = read_yaml(file)
    try:
        networks = {row['key']: (_value(row['params']) / 1e6, _value(row['flops']) / 1e9)
                    for row in content['rows'] if 'key' in row}
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f'{printable(file)}: its rows with a key have not params and flops each; correct it'
                         ) from error
    return {**networks, **RELEASE}


def _value(text: str) -> float:
    return float(text[:-1]) * UNITS[text[-1]]


def count(cfg: Config, height: int, width: int) -> dict:
    """Count the parameters and FLOPs of one image's way through a network, from the pixels to the head's outputs.

    FLOPs are mmengine's: one a multiply-add, and normalisation and interpolation, but neither activations nor sums.
    No pretrained weights are loaded.

    Args:
        cfg: Config with ``model``.
        height: Height of the input in pixels.
        width: Its width.

    Returns:
        ``shape`` (height, width); ``params``, those that the image meets; ``idle``, the number of the other parameters
        by the module that holds them; ``flops``; ``flops_by_operator``.
    """
    network = MODELS.build(cfg.model).eval()
    image = torch.zeros(1, 3, height, width)
    sample = DetDataSample(metainfo=dict(
        img_shape=(height, width), ori_shape=(height, width), batch_input_shape=(height, width),
        scale_factor=(1.0, 1.0)))
    for proposals in (module for module in network.modules() if isinstance(module, EmbeddingRPNHead)):
        proposals.init_weights()  # to the whole image; as random numbers they are no boxes
    # Two-stage detectors of mmdet read their targets, none here, before they look at anything.
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    network.forward = partial(network.forward, data_samples=[sample])
    with torch.no_grad():
        used = _used_parameters(network, image)
        analyzer = FlopAnalyzer(network, (image, ))
        analyzer.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        flops = int(analyzer.total())
    idle: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        if id(parameter) not in used:
            module = name.rpartition('.')[0]
            idle[module] = idle.get(module, 0) + parameter.numel()
    return dict(
        shape=(height, width),
        params=sum(parameter.numel() for parameter in network.parameters()) - sum(idle.values()),
        idle=idle,
        flops=flops,
        flops_by_operator={name: int(value) for name, value in analyzer.by_operator().items()})


def _used_parameters(network: nn.Module, image: Tensor) -> set[int]:
    """The ids of the parameters that some operator reads on the image's way."""
    with _ParameterReads() as reads:
        network(image)
    return reads.seen


class _ParameterReads(TorchDispatchMode):
    """Notes which parameters operators read: a module's weights may also be read without calling the module."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.seen.update(id(item) for item in tree_leaves((args, kwargs)) if isinstance(item, nn.Parameter))
        return func(*args, **kwargs)


def print_comparison(rows: Sequence[dict]) -> None:
    """Print what :func:`compare` gives as a table, and below it the modules that are built and never run.

    Behind a number of the paper's stands by how much ours differs from it, where that is more than 2 %.
    """
    table = Table('config')
    table.columns[0].overflow = 'fold'
    for column in ('input', 'params, M', 'paper', 'FLOPs, G', 'paper'):
        table.add_column(column, justify='right')
    for row in rows:
        paper = row['paper']
        params, flops = row['params'] / 1e6, row['flops'] / 1e9
        table.add_row(cell(Path(row['config']).stem), '{}x{}'.format(*row['shape']), f'{params:.3f}',
                      _number(paper['params_m'], params), f'{flops:.2f}', _number(paper['flops_g'], flops))
    console = Console()
    console.print(table)
    for row in rows:
        if row['idle']:
            console.print(cell(f'{Path(row["config"]).stem}: {sum(row["idle"].values()) / 1e6:.3f} M more parameters '
                               f'are built and never run: {", ".join(row["idle"])}'))


def _number(paper: float | None, ours: float) -> str:
    """The paper's number, and by how much ours differs from it where that is notable."""
    if paper is None:
        return 'n/a'
    difference = ours / paper - 1
    return f'{paper:g}' + (f' ({difference:+.1%})' if abs(difference) > NOTABLE else '')
