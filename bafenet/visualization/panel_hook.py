"""The hook that draws ``predictions.png``: test images with true boxes, predicted boxes and the predicted sky."""
import os.path
from collections.abc import Sequence

import numpy as np
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from bafenet.devkit.frames import read_frame
from bafenet.errors import printable
from bafenet.fileio import require_writable_file

from .drawing import as_rgb, draw_sample, sample_layers, save_panel


@HOOKS.register_module()
class TestPanelHook(Hook):
    """Writes one PNG of test images with true boxes, predicted boxes and the predicted sky.

    Args:
        file: PNG file, relative to the work dir.
        num_images: How many images, spread evenly over the test split.
        score_threshold: Lowest score of a predicted box that is drawn.
    """

    # The name begins with Test because it acts while testing; pytest must not collect it.
    __test__ = False

    def __init__(self, file: str = 'predictions.png', num_images: int = 6, score_threshold: float = 0.3) -> None:
        self.file = file
        self.num_images = num_images
        self.score_threshold = score_threshold
        self._pictures: list[np.ndarray] = []
        self._titles: list[str] = []
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
        self._pictures, self._titles = [], []
        total = len(runner.test_dataloader)
        count = min(self.num_images, total)
        self._chosen = {total * i // count for i in range(count)}

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: dict,
                        outputs: Sequence[DetDataSample]) -> None:
        """Draw the first image of a chosen batch."""
        if not is_main_process() or batch_idx not in self._chosen:
            return
        sample = outputs[0]
        image = as_rgb(read_frame(sample.img_path).image)
        self._pictures.append(draw_sample(image, **sample_layers(sample, self.score_threshold)))
        self._titles.append(str(sample.img_id))

    def after_test_epoch(self, runner: Runner, metrics: dict) -> None:
        """Write the PNG."""
        if self._pictures:
            path = os.path.join(runner.work_dir, self.file)
            save_panel(path, self._pictures, self._titles)
            runner.logger.info(f'wrote {printable(path)}')
