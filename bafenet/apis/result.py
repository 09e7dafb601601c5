"""What a network finds in a frame: boxes, scores, sky, target pixels; as a picture, a file, COCO results or a dict."""
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import is_whole, shown
from ..errors import InputError, printable
from ..evaluation.sky import centre_in_sky
from ..fileio import write_json
from ..visualization.drawing import as_rgb, write_image
from ..visualization.overlay import MIN_SCORE, draw_overlay


@dataclass(frozen=True)
class Result:
    """Detections and sky of one frame.

    Attributes:
        name: Of the frame: its path, with ``#`` and its number where a file holds several; empty for an array.
        frame: uint8 (H, W) or (H, W, 3) BGR, as the network saw it.
        levels: The two values of a frame of more than 8 bits that became 0 and 255; None where it had 8.
        boxes: float32 (n, 4), ``[x1, y1, x2, y2]`` in pixels of the frame with exclusive ends, pixel k covering
            [k, k + 1); the highest score first.
        scores: float32 (n, ), in [0, 1].
        labels: int64 (n, ), indices of ``classes``.
        sky_probability: float32 (H, W), in [0, 1]; None of a network without a sky branch.
        sky: uint8 (H, W), 1 = sky; None likewise.
        classes: Their names.
        milliseconds: From the frame in memory to the boxes and the maps; of a batch, its share.
        target_probability: Of each pixel to be a target's: float32 (H, W), in [0, 1]; None of a network without target
            masks.
        target_mask: uint8 (H, W), 1 = target; None likewise.
    """

    name: str
    frame: np.ndarray = field(repr=False)
    levels: tuple[float, float] | None
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    sky_probability: np.ndarray | None = field(repr=False)
    sky: np.ndarray | None = field(repr=False)
    classes: Sequence[str] = ('Target', )
    milliseconds: float = 0.0
    target_probability: np.ndarray | None = field(default=None, repr=False)
    target_mask: np.ndarray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def in_sky(self) -> np.ndarray | None:
        """Which boxes have their centre in the predicted sky, bool (n, ); None without a sky."""
        return None if self.sky is None else centre_in_sky(self.boxes, self.sky)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame."""
        return self.frame.shape[1], self.frame.shape[0]

    def plot(self, min_score: float = MIN_SCORE, **options: Any) -> np.ndarray:
        """Draw boxes and sky on the whole frame, and beside it insets that enlarge each cluster, with target pixels.

        Args:
            min_score: Boxes below it are not drawn, and their number is said.
            **options: Of :func:`~bafenet.visualization.draw_overlay`: ``true_boxes`` and ``true_sky`` where they are
                known, ``insets``, ``stretch_to``, ``side`` and others.

        Returns:
            uint8 (height, width, 3), RGB.

        Raises:
            InputError: If an option is out of range.
        """
        for name in ('true_boxes', 'ignored_boxes'):
            given = np.asarray([] if options.get(name) is None else options[name])
            if given.dtype.kind == 'f' and not np.isfinite(given).all():
                raise InputError(f'{name} holds a number that is not finite; give x1, y1, x2, y2 in pixels')
        own: dict[str, Any] = dict(boxes=self.boxes, scores=self.scores, sky=self.sky, mask=self.target_mask,
                                   levels=self.levels, title=os.path.basename(self.name))
        return draw_overlay(as_rgb(self.frame), min_score=min_score, **{**own, **options})

    def save(self, path: str | Path, **options: Any) -> None:
        """Write :meth:`plot` as a picture, or :meth:`to_dict` where the name ends in ``.json``.

        Args:
            path: File to write.
            **options: Of :meth:`plot`.

        Raises:
            InputError: If the suffix is neither, or the file cannot be written.
        """
        picture = None if str(path).lower().endswith('.json') else self.plot(**options)
        try:
            if picture is None:
                write_json(path, self.to_dict())
            else:
                write_image(path, picture)
        except InputError as error:
            raise InputError(f'{error}, or in .json for the numbers') from error
        except OSError as error:
            raise InputError(f'{printable(path)}: cannot be written ({error.strerror}); choose another place'
                             ) from error

    def to_dict(self) -> dict[str, Any]:
        """Everything but arrays of pixels, as JSON takes it; ``sky_share`` is the share of sky in the frame."""
        width, height = self.size
        in_sky = self.in_sky
        return dict(
            frame=self.name,
            width=width,
            height=height,
            levels=self.levels,
            boxes=self.boxes.tolist(),
            scores=self.scores.tolist(),
            labels=self.labels.tolist(),
            in_sky=None if in_sky is None else in_sky.tolist(),
            sky_share=None if self.sky is None else float(self.sky.mean()),
            milliseconds=round(self.milliseconds, 3))

    def to_coco(self, image_id: int | str = 0) -> list[dict[str, Any]]:
        """COCO results: ``image_id``, ``category_id`` (label + 1), ``bbox`` as ``[x, y, width, height]``, ``score``.

        Raises:
            InputError: If ``image_id`` is neither a whole number, Python's or NumPy's, nor a string.
        """
        if isinstance(image_id, str):
            return coco_results(self.to_dict(), str(image_id))
        if not is_whole(image_id):
            raise InputError(f'image_id is {shown(image_id)}; give a whole number or a string')
        return coco_results(self.to_dict(), int(image_id))


def coco_results(result: dict[str, Any], image_id: int | str) -> list[dict[str, Any]]:
    """:meth:`Result.to_coco` of a :meth:`Result.to_dict`."""
    return [dict(image_id=image_id, category_id=label + 1, bbox=[x1, y1, x2 - x1, y2 - y1], score=score)
            for (x1, y1, x2, y2), score, label in zip(result['boxes'], result['scores'], result['labels'],
                                                      strict=True)]
