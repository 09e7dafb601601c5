"""DAdaptAdam and Prodigy, the optimizers that estimate their own step size, under their names in mmdet's registry.

mmengine registers DAdaptAdam by itself where its package is installed, and not Prodigy.
"""
from typing import Any, NoReturn

from mmdet.registry import OPTIMIZERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS

from ..errors import InputError


def install() -> None:
    """Register both; where a package is not installed, what names it when it is asked for."""
    _register_dadapt_adam()
    _register_prodigy()


def _register_dadapt_adam() -> None:
    """Name the missing package where mmengine could not register DAdaptAdam (Defazio & Mishchenko, 2023)."""
    if 'DAdaptAdam' not in MMENGINE_OPTIMIZERS.module_dict:
        OPTIMIZERS.register_module(name='DAdaptAdam', module=_missing('DAdaptAdam', 'dadaptation'), force=True)


def _register_prodigy() -> None:
    """Register Prodigy (Mishchenko & Defazio, 2023), which mmengine does not know."""
    try:
        from prodigyopt import Prodigy
    except ImportError:
        Prodigy = _missing('Prodigy', 'prodigyopt')
    OPTIMIZERS.register_module(name='Prodigy', module=Prodigy, force=True)


def _missing(name: str, package: str) -> Any:
    """Return what stands for an optimizer whose package is not installed."""

    def optimizer(params: Any, **kwargs: Any) -> NoReturn:
        raise InputError(f'the optimizer {name} needs the package {package}: pip install {package}')

    return optimizer
