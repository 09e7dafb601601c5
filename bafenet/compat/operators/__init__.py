"""The operators that mmcv compiles, on torchvision and PyTorch, so that ``mmcv-lite`` is enough.

mmcv's Python code calls its compiled operators through the module ``mmcv._ext``. :func:`install` puts a stand-in of
that name in place, unless a compiled one is installed: then that one is used and nothing is replaced. It has to happen
before anything imports ``mmcv.ops`` (all of mmdet does), hence first of all changes.

The functions keep the argument lists of the compiled operators, outputs written in place included; call them as
``mmcv.ops.roi_align``, ``mmcv.ops.DeformConv2d`` and so on. They work on the CPU and on CUDA. Which there are,
and why the others are not, stands in :mod:`~bafenet.compat.operators.coverage`.
"""
import importlib.util
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import torch

from .coverage import COVERED, LEFT_OUT, Covered, LeftOut, reason_of

__all__ = ['COVERED', 'LEFT_OUT', 'Covered', 'LeftOut', 'get_compiler_version', 'get_compiling_cuda_version', 'install',
           'stand_in']


def get_compiler_version() -> str:
    """What mmcv's environment report says of its C++ compiler: there is none."""
    return 'n/a'


def get_compiling_cuda_version() -> str:
    """What mmcv's environment report says of the CUDA that it was compiled with: there is none."""
    return 'n/a'


def install() -> None:
    """Put the stand-in ``mmcv._ext`` in place, where no ``mmcv._ext`` is.

    Raises:
        ModuleNotFoundError: Neither mmcv nor mmcv-lite is installed.
    """
    if importlib.util.find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = stand_in()


def stand_in() -> ModuleType:
    """A module with what ``mmcv._ext`` has; what is not here raises NotImplementedError when it is called."""
    ext = ModuleType('mmcv._ext', 'Stand-in for the compiled operators of mmcv, see bafenet.compat.operators.')
    # With no spec pkgutil.find_loader raises; without a loader mmengine knows that nothing is compiled.
    ext.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    operators = [function for row in COVERED for function in row.functions]
    for function in (*operators, get_compiler_version, get_compiling_cuda_version):
        setattr(ext, function.__name__, function)
    vars(ext)['__getattr__'] = _missing_operator
    return ext


def _remedy() -> str:
    """Without what an operator is not available, and how to get it: of mmcv, or of its fork where that is installed."""
    try:
        version('onedl-mmcv')
    except PackageNotFoundError:
        return ('with mmcv-lite: uninstall mmcv-lite and install a compiled mmcv>=2.0.0,<2.2.0 that matches your '
                f'PyTorch {torch.__version__}')
    return ('with onedl-mmcv as it was built: build it beside your PyTorch '
            f'{torch.__version__} (pip install --no-build-isolation --force-reinstall --no-deps onedl-mmcv)')


def _missing_operator(name: str) -> Callable:
    """Answer for an operator that is not here: a function that raises when called, never at import."""
    # Python and its tools ask every module for private names; no operator has one.
    if name.startswith('_'):
        raise AttributeError(f"module 'mmcv._ext' has no attribute '{name}'")
    what, counterpart = reason_of(name)

    def operator(*args, **kwargs):
        purpose = f', which is for {what},' if what else ''
        instead = f', or use {counterpart} instead' if counterpart else ''
        raise NotImplementedError(f"mmcv's compiled operator '{name}'{purpose} is not available {_remedy()}{instead}")

    operator.__name__ = name
    return operator
