"""Devkits such as users have: classes of their own, with or without splits and sky maps, any image names."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from conftest import draw_scene, voc_xml, write_palette


def own_devkit(root: Path, names: Sequence[str], classes: Sequence[str] = ('drone', ), sky: Sequence[str] = (),
               splits: dict[str, Sequence[str]] | None = None, targets: Sequence[int] | None = None,
               suffix: str = '.png', sky_suffix: str = '.png', scenes: Sequence[int] | None = None) -> Path:
    """Write a devkit of images of 64x64.

    Args:
        root: Where to.
        names: Image names, n of them.
        classes: Classes; the targets of an image have them in turn.
        sky: Names of the images with a sky map.
        splits: Lists by the stem of their file; None for no folder of lists.
        targets: How many targets each image has, 3 where it is None.
        suffix: Of the images.
        sky_suffix: What follows the names of sky maps.
        scenes: A number for each image; those of one number show one scene. None for a scene each.
    """
    optional = [folder for folder, is_there in (('SkySeg/PaletteMask', sky), ('Splits', splits)) if is_there]
    for folder in ('PNGImages', 'SIRST/BBox', *optional):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        rng = np.random.default_rng(index if scenes is None else scenes[index])
        image, boxes, sky_map = draw_scene(rng, num_targets=3 if targets is None else targets[index])
        cv2.imwrite(str(root / 'PNGImages' / f'{name}{suffix}'), image)
        objects = ''.join(voc_xml([box], classes[(index + number) % len(classes)]).removeprefix(
            '<annotation>').removesuffix('</annotation>') for number, box in enumerate(boxes))
        (root / 'SIRST/BBox' / f'{name}.xml').write_text(f'<annotation>{objects}</annotation>', encoding='utf-8')
        if name in sky:
            write_palette(root / 'SkySeg/PaletteMask' / f'{name}{sky_suffix}', sky_map)
    for split, listed in (splits or {}).items():
        (root / 'Splits' / f'{split}.txt').write_text('\n'.join(listed) + '\n', encoding='utf-8')
    return root
