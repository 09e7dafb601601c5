"""The hook that draws ``predictions.png``: test images with true boxes, predicted boxes and the predicted sky."""
import os.path
from collections.abc import Sequence

import numpy as np
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bafenet.errors import printable
from bafenet.fileio import require_writable_file

from .drawing import tile, write_image
from .overlay import BACKGROUND, MIN_SCORE, draw_overlay
from .samples import frame_of, layers_of

COLUMNS = 2


@HOOKS.register_module()
class TestPanelHook(Hook):
    """Writes one PNG of test images with true boxes, predicted boxes and the predicted sky.

    Args:
        file: PNG file, relative to the work dir.
        num_images: How many images, spread evenly over the test split.
        score_threshold: Lowest score of a predicted box that is drawn.
        insets: Most places of an image that are enlarged beside it.
        side: Longer side of an image, at most, in pixels of the PNG.
    """

    # The name begins with Test because it acts while testing; pytest must not collect it.
    __test__ = False

    def __init__(self, file: str = 'predictions.png', num_images: int = 6, score_threshold: float = MIN_SCORE,
                 insets: int = 2, side: int = 520) -> None:
        self.file = file
        self.num_images = num_images
        self.score_threshold = score_threshold
        self.insets = insets
        self.side = side
        self._pictures: list[np.ndarray] = []
        self._chosen: set[int] = set()

    def before_test(self, runner: Runner) -> None:
        """Check that the PNG can be written, before the test whose outcome it shows.

        Raises:
            InputError: If it cannot.
        """
        if is_main_process():
            require_writable_file(os.path.join(runner.work_dir, self.file))

    def before_test_epoch(self, runner: Runner) -> None:
        """Forget the pictures of an earlier test, and choose the batches of this one."""
        self._pictures = []
        total = len(runner.test_dataloader)
        count = min(self.num_images, total)
        self._chosen = {total * i // count for i in range(count)}

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[DetDataSample]) -> None:
        """Draw the first image of a chosen batch."""
        if not is_main_process() or batch_idx not in self._chosen:
            return
        sample = outputs[0]
        image, levels = frame_of(sample)
        self._pictures.append(draw_overlay(image, **layers_of(sample), levels=levels, title=str(sample.img_id),
                                           min_score=self.score_threshold, insets=self.insets, side=self.side))

    def after_test_epoch(self, runner: Runner, metrics: dict) -> None:
        """Write the PNG."""
        if self._pictures:
            path = os.path.join(runner.work_dir, self.file)
            write_image(path, tile(self._pictures, COLUMNS, BACKGROUND))
            runner.logger.info(f'wrote {printable(path)}')
