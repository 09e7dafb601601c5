"""Label assignment, counted: the targets of a split that a config's assignment gives a point to."""
from collections.abc import Iterator

import numpy as np
import torch
from mmcv.transforms import Compose, Resize
from mmdet.models.dense_heads import FCOSHead
from mmdet.registry import DATASETS, MODELS, TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from rich.console import Console
from rich.table import Table
from torch import Tensor

from bafenet.datasets.parts import Part, loader_parts, split_names
from bafenet.errors import InputError
from bafenet.fileio import require_json_name, write_json
from bafenet.markup import cell

from ..engine.options import load_config, require_head, require_settings

# Square root of a target's area, in pixels of the network's input.
SIZE_EDGES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 32, np.inf)


def report(config: str,
           split_from: str = 'test',
           out: str | None = None,
           cfg_options: list[str] | None = None) -> dict:
    """Count, print tables and, with ``out``, write the counts as JSON.

    Args:
        config: Config file of a network with an ``FCOSHead``, BAFE-Head among them.
        split_from: ``'train'``, ``'val'`` or ``'test'``: the data loader that names the split and its resize.
        out: JSON file.
        cfg_options: ``KEY=VALUE`` options.

    Returns:
        The counts, as :func:`summarize` gives them, with what they were counted on.

    Raises:
        InputError: If the config or its data are bad, or the head is another.
    """
    require_json_name(out)
    init_default_scope('mmdet')
    cfg = load_config(config, cfg_options)
    head = build_head(cfg, config)
    require_settings(cfg, config, f'{split_from}_dataloader.dataset')
    parts = loader_parts(cfg, split_from)
    require_settings(cfg, config, *(f'{part.key}.{name}' for part in parts for name in ('ann_file', 'pipeline')))
    counted = [counts for part in parts for counts in count_points(cfg, head, part)]
    sizes, points, inside = (np.concatenate(values) for values in zip(*counted, strict=True))
    origins = list(dict.fromkeys(part.settings.get('box_origin') for part in parts))
    results = dict(
        config=config,
        cfg_options=cfg_options or [],
        split=split_names(cfg[f'{split_from}_dataloader']),
        box_origin=origins[0] if len(origins) == 1 else origins,
        assign=getattr(head, 'assign', 'inside'),
        **summarize(sizes, points, inside, head))
    print_tables(results)
    if out:
        write_json(out, results)
    return results


def build_head(cfg: Config, config: str) -> FCOSHead:
    """The config's head, without weights worth anything.

    Raises:
        InputError: If it assigns labels in a way of its own, or by what it predicts.
    """
    require_head(cfg, config, FCOSHead, 'the tool knows FCOSHead and BAFEHead')
    head = MODELS.build(cfg.model.bbox_head)
    if getattr(head, 'assigns_by_prediction', False):
        raise InputError(f'{config}: assign={head.assign!r} goes by what the network predicts: there is nothing to '
                         'count before it is trained')
    return head


def count_points(cfg: Config, head: FCOSHead, data: Part) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Points that each target of a dataset gets, image by image.

    Args:
        cfg: The config.
        head: Its head.
        data: The dataset, with the pipeline whose resizes apply.

    Yields:
        For the G targets of an image: sizes float (G, ), the square root of the area in the network's input; points
        int (G, levels); inside int (G, ), how many of the points lie inside the target.
    """
    resize = Compose([step for step in data.pipeline if _resizes(step)])
    divisor = cfg.model.get('data_preprocessor', {}).get('pad_size_divisor', 1)
    dataset = DATASETS.build(dict(data.settings, pipeline=[], test_mode=True))
    for index in range(len(dataset)):
        boxes, shape = resized_boxes(dataset.get_data_info(index), resize)
        padded = [-(-side // divisor) * divisor for side in shape]
        levels = [[-(-side // stride) for side in padded] for stride in head.strides]
        points = head.prior_generator.grid_priors(levels, device='cpu')
        owners = point_owners(head, points, boxes)
        counts = torch.stack([torch.bincount(level[level >= 0], minlength=len(boxes)) for level in owners], dim=1)
        # To a thousandth, so that the rounding of a resize puts no target of 4 px among those below 4.
        sizes = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt().numpy().round(3)
        yield sizes, counts.numpy(), _inside(points, owners, boxes).numpy()


def _resizes(step: dict) -> bool:
    return issubclass(TRANSFORMS.get(step['type']), Resize)


def resized_boxes(info: dict, resize: Compose) -> tuple[Tensor, tuple[int, int]]:
    """Boxes (G, 4) of an image in the network's input, and the input's height and width before padding."""
    shape = (info['height'], info['width'])
    boxes = torch.tensor([item['bbox'] for item in info['instances']], dtype=torch.float32).reshape(-1, 4)
    # The transforms read the image's size off the image; its content has no part in this.
    results = resize(dict(img=np.zeros(shape, np.uint8), img_shape=shape, gt_bboxes=HorizontalBoxes(boxes)))
    return results['gt_bboxes'].tensor, results['img'].shape[:2]


def point_owners(head: FCOSHead, points: list[Tensor], boxes: Tensor) -> list[Tensor]:
    """The target that each point learns, by the head's own target function.

    Args:
        head: The head.
        points: (P_l, 2) per level.
        boxes: (G, 4).

    Returns:
        int64 (P_l, ) per level, -1 for none.
    """
    # Numbers in place of labels come back at the points; num_classes is the background's.
    numbers = torch.arange(len(boxes)) + head.num_classes + 1
    labels, _ = head.get_targets(points, [InstanceData(bboxes=boxes, labels=numbers)])
    return [level - head.num_classes - 1 for level in labels]


def _inside(points: list[Tensor], owners: list[Tensor], boxes: Tensor) -> Tensor:
    every_point, owner = torch.cat(points), torch.cat(owners)
    every_point, owner = every_point[owner >= 0], owner[owner >= 0]
    held = ((every_point > boxes[owner, :2]) & (every_point < boxes[owner, 2:])).all(dim=1)
    return torch.bincount(owner[held], minlength=len(boxes))


def summarize(sizes: np.ndarray, points: np.ndarray, inside: np.ndarray, head: FCOSHead) -> dict:
    """Shares of targets that get a point; for the arguments see :func:`count_points`.

    Returns:
        ``targets``, ``assigned`` (how many get a point), ``share`` (None where there are no targets), ``points`` and
        ``points_inside``, ``by_level`` and ``by_size``: lists of the same for each level and each range of sizes.
    """
    groups = np.digitize(sizes, SIZE_EDGES) - 1
    by_level = [dict(stride=stride, regress_range=list(bounds), **_counts(points[:, i]))
                for i, (stride, bounds) in enumerate(zip(head.strides, head.regress_ranges, strict=True))]
    by_size = [dict(low=float(low), high=float(high) if np.isfinite(high) else None,
                    **_counts(points[groups == i].sum(axis=1)))
               for i, (low, high) in enumerate(zip(SIZE_EDGES, SIZE_EDGES[1:], strict=False)) if (groups == i).any()]
    return dict(**_counts(points.sum(axis=1)), points_inside=int(inside.sum()), by_level=by_level, by_size=by_size)


def _counts(points: np.ndarray) -> dict[str, float | None]:
    assigned = int((points > 0).sum())
    return dict(targets=len(points), assigned=assigned, share=assigned / len(points) if len(points) else None,
                points=int(points.sum()))


def print_tables(results: dict) -> None:
    """Print what :func:`report` gives."""
    console = Console()
    console.print(cell(f'{results["split"]}: {_share(results)} targets get a point (assign={results["assign"]}, '
                       f'box_origin={results["box_origin"]}); {results["points_inside"]} of {results["points"]} points '
                       'lie inside their target'), soft_wrap=True)
    table = Table('level', 'targets with a point', 'points', title='By level')
    for level in results['by_level']:
        low, high = level['regress_range']
        table.add_row(f'stride {level["stride"]}, range {low:g} to {high:g}', _share(level), str(level['points']))
    console.print(table)
    table = Table('√area', 'targets with a point', 'points', title='By size, in pixels of the network\'s input')
    for size in results['by_size']:
        high = '' if size['high'] is None else f'{size["high"]:g}'
        table.add_row(f'{size["low"]:g} to {high}' if high else f'from {size["low"]:g}', _share(size),
                      str(size['points']))
    console.print(table)


def _share(counts: dict) -> str:
    if counts['share'] is None:
        return 'n/a (there are none)'
    return f'{counts["share"]:.3f} ({counts["assigned"]} of {counts["targets"]})'
