"""Average of a fine-tuned network with the one it began with (WiSE-FT, Wortsman et al., 2022): what it knew stays."""
from copy import deepcopy

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseAveragedModel
from torch import Tensor, nn


@MODELS.register_module()
class StartAverage(BaseAveragedModel):
    """Keeps ``(1 - start_share) weights + start_share start`` of a network that is fine-tuned; for ``EMAHook``.

    A network that learns from a few frames forgets what these do not show, clutter above all. Between both sets of
    weights lies one that knows both.

    Args:
        model: The network. Its weights at the first call of :meth:`update_parameters` do not count: the start is what
            ``module`` holds by then.
        start_share: Share of the start, from 0 to below 1.
        interval: Steps between two updates.
        device: Where it is kept; None for that of the network.
        update_buffers: Average the statistics of batch normalisation too.
    """

    def __init__(self,
                 model: nn.Module,
                 start_share: float = 0.4,
                 interval: int = 1,
                 device: torch.device | None = None,
                 update_buffers: bool = False) -> None:
        super().__init__(model, interval, device, update_buffers)
        self.start_share = start_share
        # A part of this module, so that a checkpoint keeps it for whoever resumes.
        self.start = deepcopy(self.module)

    def avg_func(self, averaged_param: Tensor, source_param: Tensor, steps: int) -> None:
        """Not used: an average needs the start too; see :meth:`update_parameters`."""
        raise NotImplementedError

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take up the network's weights as they are now."""
        if self.steps == 0:
            self.start.load_state_dict(self.module.state_dict())
        if self.steps % self.interval == 0:
            start, now = self.start.state_dict(), model.state_dict()
            names = now if self.update_buffers else dict(model.named_parameters())
            for name, average in self.module.state_dict().items():
                new = now[name].to(average.device)
                if name in names and average.is_floating_point():
                    new = torch.lerp(new, start[name], self.start_share)
                average.copy_(new)
        self.steps += 1
