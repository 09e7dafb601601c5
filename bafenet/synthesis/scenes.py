"""Procedural infrared scenes: clusters of small targets in the sky, and hot spots that look the same below it."""
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from ..arguments import MAX_SEED, require_number
from .clusters import PastedTargets, TargetLibrary, paste_clusters
from .recipe import ClusterRecipe

KINDS = {'sky': 0.15, 'no_sky': 0.05, 'buildings': 0.3, 'hills': 0.25, 'sea': 0.25}
"""The share of each kind of scene: nothing but sky, no sky at all, and sky above something."""

TARGETS = ClusterRecipe(sigma=(0.5, 0.6))
"""The paper's recipe, with the upper third of its sigmas: with the narrow ones the rim of a target would be raised by
one or two grey levels, below the sensor noise, and nobody could see where its box ends."""

HOT_SPOTS = ClusterRecipe(num_clusters=(2, 4), sigma=(0.5, 0.6))
"""The same below the sky, only more of them."""

MIN_SIZE, MAX_SIZE = 96, 4096
LIBRARY_SIZE = 256
# Cluster regions keep this far (px) from the skyline, on both of its sides.
SKYLINE_MARGIN = 3


class Scene(NamedTuple):
    """An image and all that is known about it; S is its side.

    Attributes:
        kind: One of :data:`KINDS`.
        image: (S, S) uint8.
        sky: (S, S) bool.
        target_mask: (S, S) bool, the visible pixels of the targets.
        boxes: (n, 4) int64, the targets, 0-based ``[x1, y1, x2, y2]`` with exclusive ends.
        hot_spots: (m, 4) int64, what looks like a target and is not, all outside of the sky.
    """

    kind: str
    image: np.ndarray
    sky: np.ndarray
    target_mask: np.ndarray
    boxes: np.ndarray
    hot_spots: np.ndarray


def make_library(seed: int) -> TargetLibrary:
    """Small bright blobs of 3 to 5 px a side, most often 3x3, as a library of targets.

    They are nearly flat, as patches cut out with their surroundings are; the Gaussian of the blend shapes them.
    """
    rng = np.random.default_rng([seed, LIBRARY_SIZE])
    shorter = rng.choice([3, 4, 5], LIBRARY_SIZE, p=[0.6, 0.3, 0.1])
    longer = np.minimum(shorter + rng.choice([0, 1], LIBRARY_SIZE, p=[0.6, 0.4]), 5)
    sizes = rng.permuted(np.stack([shorter, longer], axis=1), axis=1)
    return TargetLibrary.from_patches([_blob(height, width, rng) for height, width in sizes])


def _blob(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    shape = 1 - rng.uniform(0, 0.15) * (x**2 + y**2)
    return np.rint(rng.uniform(45, 130) * shape * rng.normal(1, 0.05, shape.shape)).clip(0, 255).astype(np.uint8)


def draw_scene(seed: int, index: int, size: int = 192, library: TargetLibrary | None = None) -> Scene:
    """Draw scene ``index`` of the set ``seed``; it depends on these two and the size alone.

    Args:
        seed: The set, at least 0.
        index: The image, at least 0.
        size: Side in pixels, from :data:`MIN_SIZE` to :data:`MAX_SIZE`.
        library: ``make_library(seed)``, for callers who draw many scenes and make it once.

    Returns:
        The scene.

    Raises:
        InputError: If the size or the seed is out of range.
    """
    require_number('size', size, MIN_SIZE, MAX_SIZE, whole=True)
    require_number('seed', seed, 0, MAX_SEED, whole=True)
    rng = np.random.default_rng([seed, index])
    library = library or make_library(seed)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    background, sky = _draw_background(kind, size, rng)
    pasted = _paste_inside(background, sky, library, TARGETS, rng)
    decorated = _paste_inside(pasted.image, ~sky, library, HOT_SPOTS, rng)
    return Scene(kind, decorated.image, sky, pasted.mask(), pasted.boxes, decorated.boxes)


def _paste_inside(image: np.ndarray, area: np.ndarray, library: TargetLibrary, recipe: ClusterRecipe,
                  rng: np.random.Generator) -> PastedTargets:
    """Paste clusters into an area (bool), a little away from where it ends."""
    distance = 2 * SKYLINE_MARGIN + 1
    inner = cv2.erode(area.astype(np.uint8), np.ones((distance, distance), np.uint8))
    return paste_clusters(image, inner, library, rng, recipe)


def _draw_background(kind: str, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The scene without any spot, as the sensor sees it: (S, S) uint8 and the sky (bool)."""
    sky_level = rng.uniform(50, 120)
    # As often brighter than the sky as darker, so that a spot's brightness does not give away where it is.
    ground_level = np.clip(sky_level + rng.choice([-1, 1]) * rng.uniform(18, 60), 30, 140)
    radiance = _sky(size, sky_level, rng)
    sky = np.ones((size, size), bool)
    if kind != 'sky':
        ground, sky = GROUNDS[kind](size, ground_level, sky_level, rng)
        radiance = np.where(sky, radiance, ground)
    return _sense(radiance, rng), sky


def _sense(radiance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Optics and sensor: a slight blur, pixel noise, column noise, a few hot pixels; 8 bits with room for targets."""
    image: np.ndarray = cv2.GaussianBlur(radiance, (0, 0), rng.uniform(0.5, 0.8))
    image += rng.uniform(0.8, 2.5) * rng.standard_normal(image.shape)
    image += rng.uniform(0, 0.7) * rng.standard_normal(image.shape[1])
    hot = rng.integers(0, image.size, rng.poisson(3))
    image.ravel()[hot] += rng.uniform(10, 30, len(hot))
    return np.rint(image).clip(2, 190).astype(np.uint8)


def _smooth_noise(shape: tuple[int, int], cell: tuple[float, float], rng: np.random.Generator,
                  octaves: int = 4) -> np.ndarray:
    """Noise of several octaves with mean 0 and deviation 1; ``cell`` is its coarsest height and width in pixels."""
    total = np.zeros(shape)
    for octave in range(octaves):
        grid = np.ceil(np.array(shape) * 2**octave / cell).astype(int) + 2
        coarse = rng.standard_normal(np.minimum(grid, shape))
        total += 0.55**octave * cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (total - total.mean()) / total.std()


def _profile(size: int, cell: float, rng: np.random.Generator, octaves: int = 4) -> np.ndarray:
    """Smooth noise along a line: (size,) with mean 0 and deviation 1."""
    return _smooth_noise((2, size), (2, cell), rng, octaves)[0]


def _sky(size: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """A vertical gradient and, mostly, clouds: veils, or heaps with brighter edges."""
    down = np.linspace(-0.5, 0.5, size)[:, None]
    sky = level + rng.uniform(-15, 30) * down + np.zeros((1, size))
    height = size * rng.uniform(0.2, 0.5)
    noise = _smooth_noise((size, size), (height, height * rng.uniform(1.5, 3)), rng, octaves=6)
    cover = np.clip((noise - rng.uniform(-0.8, 1.2)) / rng.uniform(0.8, 2.5), 0, 1)
    edge = 4 * cover * (1 - cover)
    contrast = rng.choice([-1, 1], p=[0.25, 0.75]) * rng.uniform(8, 45)
    billows = 1 + 0.3 * _smooth_noise((size, size), (size * 0.15, size * 0.25), rng)
    return sky + contrast * cover * billows + rng.uniform(0, 8) * edge


def _hills(size: int, level: float, sky_level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ridges one before the other, hazier the farther away, the nearest ones wooded."""
    row = np.arange(size)[:, None]
    ground, sky = np.zeros((size, size)), np.ones((size, size), bool)
    ridges, roughness = int(rng.integers(2, 5)), rng.uniform(0.3, 1.0)
    tops = np.linspace(rng.uniform(0.35, 0.6), rng.uniform(0.75, 0.9), ridges) * size
    for order, top in enumerate(tops, 1):
        near = order / ridges
        line = top + size * rng.uniform(0.02, 0.06) * _profile(size, size * rng.uniform(0.3, 0.8), rng)
        line += near * rng.uniform(0, 0.012) * size * _profile(size, 8, rng, octaves=2)
        below = row >= np.maximum(line, 0.25 * size)
        tone = level + (1 - near) * 0.35 * (sky_level - level) + rng.uniform(-14, 14)
        wood = _smooth_noise((size, size), (3 + 5 * near, 4 + 6 * near), rng, octaves=3)
        slope = 0.08 * (row - line) * rng.uniform(-1, 1)
        ground = np.where(below, tone + slope + roughness * (3 + 6 * near) * wood, ground)
        sky &= ~below
    return ground, sky


def _buildings(size: int, level: float, sky_level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A far row of blocks, a near row of buildings with windows and vents, and the ground before them."""
    row = np.arange(size)[:, None]
    horizon = size * rng.uniform(0.6, 0.8)
    ground = level + 0.1 * (row - horizon) + 3 * _smooth_noise((size, size), (6, 40), rng)
    sky = np.broadcast_to(row < horizon, (size, size)).copy()
    for near in (0.0, 1.0):
        x = -int(rng.integers(0, int(0.1 * size)))
        while x < size:
            width = int(size * rng.uniform(0.05, 0.12) * (1 + 1.2 * near))
            height = size * rng.uniform(0.03, 0.2) * (1 + 0.5 * near)
            tone = level + (1 - near) * 0.25 * (sky_level - level) + rng.uniform(-14, 14)
            foot = int(horizon + near * size * rng.uniform(0.02, 0.12))
            left, right = max(x, 0), min(x + width, size)
            if right - left >= 4:
                _building(ground, sky, slice(left, right), slice(int(foot - height), foot), tone, rng)
            x += width + int(size * rng.choice([0, rng.uniform(0.01, 0.2)]))
    return ground, sky


def _building(ground: np.ndarray, sky: np.ndarray, across: slice, down: slice, tone: float,
              rng: np.random.Generator) -> None:
    """Draw one building in place: a wall, rows of windows of which some are lit, a roof edge and what is on it."""
    wall = ground[down, across]
    sky[down, across] = False
    height, width = wall.shape
    wall[:] = tone + rng.uniform(-8, 8) * np.linspace(-0.5, 0.5, width)
    wall += rng.uniform(-6, 6) * np.linspace(0, 1, height)[:, None]
    if rng.random() < 0.7:
        pitch_y, pitch_x = rng.integers(5, 9, 2)
        windows = wall[3:-2, 2:-2]
        y, x = np.indices(windows.shape)
        panes = (y % pitch_y < pitch_y // 2) & (x % pitch_x < pitch_x // 2)
        glow = rng.choice([-12, -6, 40], (height, width), p=[0.5, 0.35, 0.15]) * rng.uniform(0.6, 1.2)
        windows += panes * glow[y // pitch_y, x // pitch_x]
    wall[:2] += rng.uniform(-5, 15)
    _roof(ground, sky, across, down.start, tone, rng)


def _roof(ground: np.ndarray, sky: np.ndarray, across: slice, top: int, tone: float, rng: np.random.Generator) -> None:
    """Put vents and perhaps a mast on a roof, in place."""
    for _ in range(rng.integers(0, 3)):
        width, height = rng.integers(2, 7), rng.integers(2, 6)
        left = int(rng.integers(across.start, max(across.stop - width, across.start) + 1))
        spot = (slice(max(top - height, 0), top), slice(left, min(left + width, across.stop)))
        ground[spot], sky[spot] = tone + rng.uniform(0, 40), False
    if rng.random() < 0.3:
        mast = (slice(max(top - int(rng.integers(6, 20)), 0), top), int(rng.integers(across.start, across.stop)))
        ground[mast], sky[mast] = tone + rng.uniform(-10, 10), False


def _sea(size: int, level: float, sky_level: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Water up to a straight horizon: waves that grow towards the viewer, glints, boats, at times a coast."""
    row, col = np.arange(size, dtype=float)[:, None], np.arange(size, dtype=float)
    horizon = int(size * rng.uniform(0.4, 0.7))
    depth = np.clip((row - horizon) / (size - horizon), 0, 1)
    waves = _smooth_noise((2 * size, size), (6, 40), rng, octaves=3)
    # Rows crowd together towards the horizon, as they do in perspective.
    source = (2 * size - 1) * np.sqrt(depth) + np.zeros_like(col)
    waves = cv2.remap(waves.astype(np.float32), (col + 0 * row).astype(np.float32), source.astype(np.float32),
                      cv2.INTER_LINEAR)
    water = level + rng.uniform(-10, 20) * depth + rng.uniform(0.3, 1.0) * (3 + 8 * depth) * waves
    glitter = np.exp(-((col - rng.uniform(0, size)) / (size * rng.uniform(0.08, 0.3)))**2) * rng.uniform(0, 35)
    water += glitter * np.clip(waves - 1, 0, 1.5)
    sky = np.broadcast_to(row < horizon, (size, size)).copy()
    if rng.random() < 0.35:
        line = horizon - size * 0.05 * np.clip(_profile(size, size * 0.4, rng), 0, 2)
        coast = (row >= line) & (row < horizon + 1)
        water = np.where(coast, level + rng.uniform(-15, 15) + 3 * waves, water)
        sky &= ~coast
    for _ in range(rng.integers(0, 4)):
        _boat(water, horizon, level, rng)
    return water, sky


def _boat(water: np.ndarray, horizon: int, level: float, rng: np.random.Generator) -> None:
    """Draw a hull with a warm cabin, in place, larger the nearer it is."""
    size = len(water)
    down = int(rng.integers(horizon + 8, size - 4))
    scale = 0.5 + 1.5 * (down - horizon) / size
    left, length, height = int(rng.integers(0, size - 12)), int(16 * scale), max(int(4 * scale), 2)
    water[down - height:down, left:left + length] = level + rng.choice([-1, 1]) * rng.uniform(10, 25)
    middle = left + length // 3
    water[down - 2 * height:down - height, middle:middle + length // 3] = level + rng.uniform(15, 45)


def _land_from_above(size: int, level: float, _: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Fields, roads and roofs with no sky in view."""
    row, col = np.indices((size, size)) / (size * rng.uniform(0.15, 0.35))
    turn, bend = rng.uniform(0, np.pi), 0.08 * _smooth_noise((size, size), (size * 0.3, size * 0.3), rng, octaves=2)
    across, along = row * np.cos(turn) + col * np.sin(turn) + bend, col * np.cos(turn) - row * np.sin(turn) + bend
    tones = rng.uniform(-22, 22, (8, 8))
    land = level + tones[np.floor(across).astype(int) % 8, np.floor(along / 1.6).astype(int) % 8]
    land += rng.uniform(2, 6) * _smooth_noise((size, size), (6, 6), rng)
    for _ in range(rng.integers(1, 4)):
        ends = rng.integers(0, size, (2, 2))
        reach = 3 * (ends[1] - ends[0])
        tone, width = float(level + rng.uniform(-25, 25)), int(rng.integers(3, 9))
        cv2.line(land, (ends[0] + reach).tolist(), (ends[0] - reach).tolist(), tone, width)
    for _ in range(rng.integers(2, 9)):
        (y, x), (height, width) = rng.integers(0, size - 8, 2), rng.integers(8, 30, 2)
        land[y:y + height, x:x + width] = level + rng.uniform(-20, 30)
    return land, np.zeros((size, size), bool)


GROUNDS: dict[str, Callable] = {
    'no_sky': _land_from_above, 'buildings': _buildings, 'hills': _hills, 'sea': _sea,
}
