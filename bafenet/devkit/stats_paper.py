"""The paper's statements on DenseSIRST (Table I, Fig. 4, Sections III-B and III-C) beside what data measure."""
from collections.abc import Collection
from dataclasses import dataclass

from .layout import PACKAGED_SPLITS
from .read import read_names


@dataclass(frozen=True)
class Statement:
    """A statement of the paper beside what the data measure."""

    statement: str
    paper: str
    measured: str
    agrees: bool


def is_densesirst(names: Collection[str]) -> bool:
    """Whether the images of a devkit are DenseSIRST's, by their names; the paper says nothing of others."""
    known = {name for part in ('trainval', 'test') for name in read_names(PACKAGED_SPLITS / f'{part}_rec.txt')}
    return known == set(names)


def compare_with_paper(summary: dict) -> list[Statement]:
    """Hold the paper's statements on DenseSIRST (Sections III-B and III-C, Table I, Fig. 4) against measurements.

    Args:
        summary: What :func:`bafenet.devkit.stats.summarize` gives.

    Returns:
        The statements, in the paper's order. One agrees where the measured value, rounded as the paper's is, meets it.
    """
    area, clusters, brightest = summary['area']['mean'], summary['clusters'], summary['brightness']['share_brightest']
    common = summary['target_sizes'][0]
    small = summary['share_below_5x5']
    numbers = [('images', 1024, summary['images']), ('targets', 13655, summary['boxes'])]
    return [
        _share_statement('dense areas in an image', range(1, 4), clusters['per_image'], 'images'),
        _share_statement('targets in a dense area', range(8, 13), clusters['targets_per_cluster'], 'areas'),
        _sky_statement(clusters['share_in_sky']),
        *(Statement(f'number of {what}', f'{paper:,}', f'{number:,}', paper == number)
          for what, paper, number in numbers),
        Statement('average target area', '6', f'{area:.1f}', round(area) == 6),
        _image_size_statement(summary['image_sizes']),
        Statement('most frequent target size', '3x3', f'{common["width"]}x{common["height"]}',
                  common['width'] == common['height'] == 3),
        Statement('targets predominantly below 5x5', 'most', f'{small:.1%}', small > 0.5),
        *_contrast_statements(summary['contrast'], 'local contrast'),
        *_contrast_statements(summary['contrast_paper_boxes'], 'the same, boxes one pixel off as in its release'),
        Statement('targets that are the brightest of their image', 'a minority', f'{brightest:.1%}', brightest < 0.5),
    ]


def _share_statement(what: str, expected: range, counts: dict[str, int], unit: str) -> Statement:
    total = sum(counts.values())
    inside = sum(count for value, count in counts.items() if int(value) in expected)
    low, high = min(map(int, counts), default=0), max(map(int, counts), default=0)
    measured = f'{low} to {high}, as stated in {inside / total:.1%} of {unit}' if total else 'there are none'
    return Statement(what, f'{expected[0]} to {expected[-1]}', measured, 0 < total == inside)


def _sky_statement(share: float | None) -> Statement:
    measured = 'there are none' if share is None else f'{share:.2%} of their targets'
    return Statement('dense areas lie in the sky', 'all', measured, share == 1)


def _image_size_statement(sizes: list[dict[str, int]]) -> Statement:
    pairs = sorted(((size['width'], size['height']) for size in sizes), key=lambda pair: pair[0] * pair[1])
    outside = sum(size['count'] for size in sizes
                  if not (320 <= size['width'] <= 1280 and 256 <= size['height'] <= 1024))
    low, high = (f'{width}x{height}' for width, height in (pairs[0], pairs[-1]))
    return Statement('image sizes', '320x256 to 1280x1024', f'{low} to {high} ({outside} images outside)', not outside)


def _contrast_statements(contrast: dict, what: str) -> list[Statement]:
    share, lowest = contrast['share_below_2'], contrast['min']
    if share is None:
        return [Statement(what, '90% below 2, lowest 0.15', 'not defined', False)]
    return [
        Statement(f'{what}: targets below 2', '90% or more', f'{share:.1%}', round(share, 2) >= 0.9),
        Statement(f'{what}: lowest', '0.15', f'{lowest:.3f}', round(lowest, 2) == 0.15),
    ]
