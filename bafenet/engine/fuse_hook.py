"""Test a network whose convolutions have taken in the batch normalisation after them, as bafenet.load predicts."""
import copy
from typing import Any

from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..arguments import require_flags
from ..models.fuse import fuse_for_prediction
from ..models.onnx_network import OnnxNetwork

# The hook's place in default_hooks.
KEY = 'fuse'


@HOOKS.register_module()
class FuseHook(Hook):
    """Test a fused copy of the network (:func:`~bafenet.models.fuse.fuse_for_prediction`); training keeps the original.

    Testing and ``bafenet.load`` add it to a config that lacks it. Results differ from unfused ones by rounding.

    Args:
        enabled: False tests the network as it was trained.

    Raises:
        InputError: If ``enabled`` is not a flag.
    """

    def __init__(self, enabled: bool = True) -> None:
        require_flags('FuseHook', enabled=enabled)
        self.enabled = enabled
        self._original: Any = None

    def before_test(self, runner: Runner) -> None:
        """Put the fused copy in the place of the network."""
        network = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if self.enabled and not isinstance(network, OnnxNetwork):
            self._original = network
            self._put(runner, self.fuse(copy.deepcopy(network)))

    def after_test(self, runner: Runner) -> None:
        """Put the network back."""
        if self._original is not None:
            self._put(runner, self._original)
            self._original = None

    def fuse(self, network: nn.Module) -> nn.Module:
        """Fuse a network in place, if that is enabled."""
        if self.enabled:
            fuse_for_prediction(network.eval())
        return network

    @staticmethod
    def _put(runner: Runner, network: nn.Module) -> None:
        if is_model_wrapper(runner.model):
            runner.model.module = network
        else:
            runner.model = network


def with_fuse_hook(cfg: Config) -> Config:
    """Add the hook to a config that does not name it, as one of an older checkpoint does not."""
    if cfg.get('default_hooks') is None:
        cfg.default_hooks = {}
    cfg.default_hooks.setdefault(KEY, dict(type=FuseHook.__name__))
    return cfg


def fuse_as_tested(network: nn.Module, cfg: Config) -> None:
    """Fuse a network in place, unless its config says that it is tested as it was trained."""
    settings = (cfg.get('default_hooks') or {}).get(KEY, {})
    FuseHook(settings is not None and settings.get('enabled', True)).fuse(network)
