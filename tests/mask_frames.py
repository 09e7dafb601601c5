"""Small frames with target masks, as NUDT-SIRST is laid out."""
from pathlib import Path

import cv2
import numpy as np


def write_mask_frames(root: Path, train: int = 10, test: int = 4, size: int = 64) -> Path:
    """Grey, nearly plain frames with one bright target of 4x4 pixels each, so that some windows are noise alone."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks', 'splits'):
        (root / folder).mkdir(parents=True)
    names = [f'{number:06}' for number in range(train + test)]
    for name in names:
        image, mask = rng.integers(40, 50, (size, size), dtype=np.uint8), np.zeros((size, size), np.uint8)
        top, left = rng.integers(4, size - 10, 2)
        mask[top:top + 4, left:left + 4] = 255
        image[mask > 0] = 220
        cv2.imwrite(str(root / 'images' / f'{name}.png'), image)
        cv2.imwrite(str(root / 'masks' / f'{name}.png'), mask)
    for split, part in (('train', names[:train]), ('test', names[train:])):
        (root / 'splits' / f'{split}.txt').write_text('\n'.join(part) + '\n')
    return root
