"""Where a number comes from: commit, machine, versions, seed and times of a training or a test."""
import os
import platform
import subprocess
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmdet
import mmengine
import torch
from mmengine.config import Config

from ..fileio import write_json
from .config_paths import setting

RUN_FILE = 'run.json'


def environment() -> dict:
    """Versions and device that a number was measured with."""
    cuda = torch.cuda.is_available()
    return dict(
        python=platform.python_version(),
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmcv=mmcv.__version__,
        mmdet=mmdet.__version__,
        opencv=cv2.__version__,
        device=torch.cuda.get_device_name() if cuda else f'cpu ({os.cpu_count()} cores, {platform.machine()})')


def machine() -> str:
    """One line about the machine: processor, cores, system."""
    info = Path('/proc/cpuinfo')
    names = [line.split(':', 1)[1].strip() for line in info.read_text().splitlines()
             if line.startswith('model name')] if info.is_file() else []
    name = names[0] if names else platform.processor() or platform.machine()
    return f'{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}'


def commit() -> str | None:
    """The commit of this code, with ``-dirty`` where files differ from it; None outside a checkout."""
    call = ['git', '-C', str(Path(__file__).parent), 'describe', '--always', '--dirty', '--abbrev=40', '--exclude=*']
    try:
        return subprocess.run(call, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


class Provenance:
    """What repeats a run, noted at its start.

    Args:
        cfg: The config of the run, as it is run.
        config: The config file that was given.
    """

    def __init__(self, cfg: Config, config: str) -> None:
        self._start = time.monotonic()
        self._fixed = dict(
            config=config,
            resolved_config=cfg.pretty_text,
            seed=_whole(setting(cfg, 'randomness', 'seed')),
            commit=commit(),
            machine=machine(),
            started=datetime.now(timezone.utc).isoformat(timespec='seconds'))

    def record(self) -> dict:
        """Plain JSON values: ``config``, ``resolved_config``, ``seed``, ``commit``, ``machine``, ``started`` (ISO 8601,
        UTC), ``seconds`` so far and ``environment``.
        """
        return dict(**self._fixed, seconds=round(time.monotonic() - self._start, 3), environment=environment())

    def write(self, folder: str | Path, **more: Any) -> None:
        """Write the record as ``run.json`` to a folder of logs."""
        write_json(Path(folder, RUN_FILE), dict(self.record(), **more))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
