"""A check of the head's strides against the feature maps, once a run, in its first forward."""
from typing import Any

from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn

from ..arguments import shown
from ..errors import InputError


@HOOKS.register_module()
class StridesHook(Hook):
    """Refuses a head whose strides are not those of the feature maps that it gets.

    It would train: its points lie elsewhere than what they see, or levels are left out. Looks at any detector of mmdet
    whose head has a generator of points or anchors. A map may have one row or column more or less than the image
    divided by the stride, as convolutions without padding give.

    Raises:
        InputError: In the first forward of a run.
    """

    def before_run(self, runner: Runner) -> None:
        """Look at the network's next forward."""
        model = getattr(runner.model, 'module', runner.model)
        head_name, strides = _strides(model)
        backbone, neck = getattr(model, 'backbone', None), getattr(model, 'neck', None)
        if not strides or not isinstance(backbone, nn.Module):
            return
        sizes: list[tuple[int, int]] = []

        def note_image(module: nn.Module, inputs: tuple) -> None:
            sizes[:] = [tuple(inputs[0].shape[-2:])]

        def check(module: nn.Module, inputs: tuple, maps: Any) -> None:
            for handle in handles:
                handle.remove()
            if sizes and isinstance(maps, (list, tuple)) and all(isinstance(one, Tensor) for one in maps):
                require_strides(head_name, strides, sizes[0], [tuple(one.shape[-2:]) for one in maps])

        handles = [backbone.register_forward_pre_hook(note_image),
                   (backbone if neck is None else neck).register_forward_hook(check)]


def _strides(model: nn.Module) -> tuple[str, list[tuple[int, int]]]:
    """The name of the head that reads all maps, and its strides as (x, y); none where it has no generator of priors."""
    for name in ('rpn_head', 'bbox_head'):
        strides = getattr(getattr(getattr(model, name, None), 'prior_generator', None), 'strides', None)
        if strides:
            return name, list(strides)
    return '', []


def require_strides(head: str, strides: list[tuple[int, int]], image: tuple[int, int],
                    maps: list[tuple[int, int]]) -> None:
    """Demand feature maps of the strides that a head has.

    Args:
        head: Name of the head in the model's config.
        strides: Its strides in pixels, (x, y) for each level.
        image: Height and width of the network's input.
        maps: Height and width of each level's map.

    Raises:
        InputError: If there is another number of levels, or a map is not the image divided by its stride.
    """
    said = [x if x == y else (x, y) for x, y in strides]
    fits = len(maps) == len(strides) and all(
        abs(-(-side // stride) - length) <= 1 for both, size in zip(strides, maps, strict=True)
        for stride, side, length in zip(both, image[::-1], size[::-1], strict=True))
    if not fits:
        true = [_true_stride(image, size) for size in maps]
        raise InputError(f'model.{head}: strides={shown(said)}, but the feature maps have the strides {true}, '
                         f'{len(maps)} level{"s" * (len(maps) > 1)}: set strides, and regress_ranges where there are '
                         'any, to these levels, or change backbone and neck')


def _true_stride(image: tuple[int, int], size: tuple[int, int]) -> int:
    """The power of two that gives a map of this size, or the nearest number to what does."""
    powers = (2**k for k in range(16))
    return next((stride for stride in powers if all(-(-side // stride) == length for side, length in
                                                    zip(image, size, strict=True))), round(image[1] / size[1]))
