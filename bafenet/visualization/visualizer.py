"""Visualizer of ``--show`` and ``--show-dir``: tiny targets and the sky on each test image; TensorBoard by a switch."""
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only

from ..arguments import require_flags
from ..display import require_display
from ..errors import InputError
from .drawing import write_image
from .overlay import INSETS, MIN_SCORE, SIDE, STRETCH, draw_overlay
from .samples import as_seen, layers_of


@VISUALIZERS.register_module()
class SkyLocalVisualizer(DetLocalVisualizer):
    """Draws tiny targets and the sky; mmdet's own hides 3-pixel targets under labels and fails on two sky classes.

    Args:
        name: Of this visualizer, by which mmengine finds it again.
        image: uint8 (H, W, 3), RGB, to draw on.
        vis_backends: Configs of backends.
        tensorboard: Hand what is logged to TensorBoard, too, beside the backends that ``vis_backends`` names.
        insets: Most places of an image that are enlarged beside it; 0 draws the boxes on the image instead.
        stretch: Percentiles of the grey levels that become black and white; None leaves them.
        side: Longer side of an image, at most, in pixels of the picture.
        **kwargs: The arguments of mmdet's ``DetLocalVisualizer``.

    Raises:
        InputError: If TensorBoard is asked for and is not installed.
    """

    def __init__(self, name: str = 'visualizer', image: np.ndarray | None = None, vis_backends: Any = None,
                 tensorboard: bool = False, *, insets: int = INSETS, stretch: Sequence[float] | None = STRETCH,
                 side: int = SIDE, **kwargs: Any) -> None:
        require_flags('visualizer', tensorboard=tensorboard)
        backends = list(vis_backends or [])
        asked = any(_is_tensorboard(backend) for backend in backends)
        if tensorboard and not asked:
            backends.append(dict(type='TensorboardVisBackend'))
        if (tensorboard or asked) and find_spec('tensorboard') is None:
            raise InputError('visualizer: TensorBoard is not installed: pip install tensorboard, or leave out '
                             'visualizer.tensorboard=True')
        super().__init__(name, image, backends or None, **kwargs)
        self.overlay: dict[str, Any] = dict(insets=insets, stretch_to=stretch, side=side)

    @master_only
    def add_datasample(self,
                       name: str,
                       image: np.ndarray,
                       data_sample: DetDataSample | None = None,
                       draw_gt: bool = True,
                       draw_pred: bool = True,
                       show: bool = False,
                       wait_time: float = 0,
                       out_file: str | None = None,
                       pred_score_thr: float = MIN_SCORE,
                       step: int = 0) -> None:
        """Draw one sample: show it, write it to ``out_file``, or hand it to the backends.

        Args:
            name: Name of the picture.
            image: uint8 (H, W, 3), RGB.
            data_sample: Truth and prediction.
            draw_gt: Draw the true boxes and the true sky.
            draw_pred: Draw the predicted boxes and the predicted sky.
            show: Open a window.
            wait_time: Seconds to show it; 0 waits for a key.
            out_file: Image file to write.
            pred_score_thr: Lowest score of a predicted box that is drawn.
            step: Step for the backends.

        Raises:
            InputError: If ``out_file`` has no suffix of a picture, or there is no display to show it on.
            OSError: If it cannot be written.
        """
        if show:
            require_display('show', 'to a folder')
        seen, levels = as_seen(image, data_sample)
        layers = {} if data_sample is None else layers_of(data_sample, draw_gt, draw_pred)
        title = name if data_sample is None else data_sample.metainfo.get('img_id', name)
        drawn = draw_overlay(seen, **layers, levels=levels, title=str(title), min_score=pred_score_thr, **self.overlay)
        self.set_image(drawn)
        if show:
            self.show(drawn, win_name=name, wait_time=wait_time)
        if out_file is not None:
            write_image(out_file, drawn)
        else:
            self.add_image(name, drawn, step)


def _is_tensorboard(backend: Any) -> bool:
    return isinstance(backend, dict) and str(backend.get('type')).endswith('TensorboardVisBackend')
