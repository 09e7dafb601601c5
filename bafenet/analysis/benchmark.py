"""Benchmarks of speed and memory: timing, the machine, and augmentation (BAG-CP, the training pipeline, a worker)."""
import copy
import os
import random
import signal
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeVar

import cv2
import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from bafenet.datasets import BAGCopyPaste, DenseSIRSTDataset
from bafenet.datasets.parts import loader_parts
from bafenet.errors import InputError
from bafenet.markup import cell

from ..engine.options import load_config
from ..engine.provenance import machine

Name = TypeVar('Name', bound=Hashable)
PASTE_SIZE = 512
# The loader's ways to spend less are measured against mmcv's and mmdet's plain ones.
PLAIN_LOADERS: dict[str, dict[str, Any]] = dict(
    LoadInfraredImage=dict(type='LoadImageFromFile'),
    LoadSkyAnnotations=dict(type='LoadAnnotations', with_bbox=True, with_seg=True, imdecode_backend='pillow'))


def require_device(device: str) -> None:
    """Check that PyTorch has a device, ``'cpu'`` or ``'cuda'``.

    Raises:
        InputError: If it has not.
    """
    if device != 'cpu' and not torch.cuda.is_available():
        raise InputError(f'--device {device}: PyTorch sees no GPU here')


def machine_of(device: str, threads: int | None = None) -> str:
    """:func:`machine`, and what PyTorch computes with; with its own number of threads where none is given."""
    return f'{machine()}, {threads or torch.get_num_threads()} threads, PyTorch {torch.__version__}, {device}'


def summary(seconds: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Median and 95th percentile of times, in milliseconds."""
    values = np.asarray(seconds) * 1000
    return dict(median_ms=float(np.median(values)), p95_ms=float(np.percentile(values, 95)), runs=len(values))


def time_each(calls: Mapping[Name, Callable[[int], object]], runs: int, warmup: int = 3) -> dict[Name, list[float]]:
    """Time several calls in turn, so that a machine whose speed drifts slows all of them alike.

    Args:
        calls: Functions of the run's number, by name.
        runs: Runs of each that count.
        warmup: Runs of each before, that do not count.

    Returns:
        Seconds of each run, by name.
    """
    times: dict[Name, list[float]] = {name: [] for name in calls}
    for run in tqdm(range(-warmup, runs), desc='measuring', leave=False, disable=None):
        for name, call in calls.items():
            start = time.perf_counter()
            call(max(run, 0))
            if run >= 0:
                times[name].append(time.perf_counter() - start)
    return times


def benchmark_augment(config: str, data_root: str, images: int, cache_mb: float) -> dict:
    """Time BAG-CP alone, and a config's training pipeline against decoding and resizing image and sky map alone.

    The yardstick decodes as mmcv and mmdet do, in three channels. The pipeline as it is keeps grey images in one; it is
    also timed with decoded files cached, and with three channels from the start.

    Runs on one core. Image i is the same for every pipeline, and the pipelines take turns.

    Args:
        config: Config file whose training pipeline has BAG-CP.
        data_root: Devkit.
        images: Images per measurement.
        cache_mb: Memory bound of the measurement with decoded files cached, in MiB.

    Returns:
        Results by name: times as :func:`summary` gives them, ratios of total times, memory in MiB.

    Raises:
        InputError: If the pipeline has no BAG-CP.
    """
    # One thread, as in a data loader's worker; a forked process would also wait for ever for threads that it lacks.
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    parts = loader_parts(load_config(config, needs=['train_dataloader.dataset']), 'train')
    # Of several datasets the first that pastes: their times would differ by their frames alone.
    cfg = next((part.settings for part in parts if any('BAGCopyPaste' in str(step['type']) for step in part.pipeline)),
               parts[0].settings)
    cfg.data_root = data_root
    dataset = DATASETS.build(cfg)
    pipeline = dataset.pipeline.transforms
    paste = next((step for step in pipeline if isinstance(step, BAGCopyPaste)), None)
    if paste is None:
        raise InputError(f'{config}: its training pipeline has no BAGCopyPaste')
    results: dict[str, Any] = dict(machine=machine(), config=config, images=images)
    results['BAG-CP on 512x512, all sky'] = summary(_time_paste(paste, images))
    infos = _draw_infos(dataset, images)
    calls = _pipelines(pipeline, cfg.pipeline, cache_mb)
    for info in infos:
        # Read once before, so that the disk is not measured and the cache is full.
        calls['training, cached'](copy.deepcopy(info))
    times = time_each({name: partial(_call_on_copy, call, infos) for name, call in calls.items()}, images)
    results.update({name: summary(seconds) for name, seconds in times.items()})
    base = np.sum(times['decode and resize'])
    results.update({f'{name} / decode and resize': float(np.sum(seconds) / base)
                    for name, seconds in times.items() if name != 'decode and resize'})
    if paste.library is not None:
        results['library, MiB'] = (paste.library.patches.nbytes + paste.library.sizes.nbytes) / 2**20
    results['worker memory over 3 passes, MiB'] = _worker_memory(dataset, images)
    return results


def _call_on_copy(pipeline: Callable, infos: list[dict], run: int) -> None:
    pipeline(copy.deepcopy(infos[run]))


def _time_paste(paste: BAGCopyPaste, runs: int) -> list[float]:
    rng = np.random.default_rng(0)
    # Grey, as the loader gives it.
    image = rng.integers(40, 90, (PASTE_SIZE, PASTE_SIZE), dtype=np.uint8)
    sky = np.ones((PASTE_SIZE, PASTE_SIZE), np.uint8)
    empty = dict(gt_bboxes=np.zeros((0, 4), np.float32), gt_bboxes_labels=np.zeros(0, np.int64),
                 gt_ignore_flags=np.zeros(0, bool))
    random.seed(0)
    np.random.seed(0)
    return time_each({'paste': lambda _: paste(dict(img=image, gt_seg_map=sky, **empty))}, runs)['paste']


def _draw_infos(dataset: DenseSIRSTDataset, images: int) -> list[dict]:
    chosen = np.random.default_rng(0).permutation(len(dataset))
    return [dataset.get_data_info(int(chosen[i % len(chosen)])) for i in range(images)]


def _pipelines(pipeline: list, configs: list[ConfigDict], cache_mb: float) -> dict[str, Callable]:
    plain = [dict(PLAIN_LOADERS.get(step.type, step)) for step in configs if step.type in (*PLAIN_LOADERS, 'Resize')]

    def changed(names: tuple[str, ...], **settings) -> Compose:
        return Compose([dict(config, **settings) if config.type in names else step
                        for config, step in zip(configs, pipeline, strict=True)])

    return {'decode and resize': Compose(plain),
            'training': Compose(pipeline),
            'training, three channels': changed(('LoadInfraredImage', ), color_type='color'),
            'training, cached': changed(tuple(PLAIN_LOADERS), cache_mb=cache_mb)}


def _worker_memory(dataset: DenseSIRSTDataset, images: int) -> list[float]:
    """Resident memory of a worker process after each of three passes over the same images."""
    return run_apart('fork', _three_passes, dataset, images)


def _three_passes(dataset: DenseSIRSTDataset, images: int) -> list[float]:
    passes = []
    for _ in range(3):
        for index in range(images):
            dataset[index % len(dataset)]
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        passes.append(pages * os.sysconf('SC_PAGE_SIZE') / 2**20)
    return passes


def run_apart(method: Literal['fork', 'spawn'], function: Callable, *args: Any) -> Any:
    """What a function gives in a process of its own, which ends with this one.

    Args:
        method: ``'fork'`` or ``'spawn'``.
        function: The function; what it gives or raises is sent back.
        args: Its arguments.

    Raises:
        InputError: If the process is ended from outside.
    """
    context = get_context('fork') if method == 'fork' else get_context('spawn')
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_back, args=(sender, function, args), daemon=True)
    # Ctrl-C goes to every process of a terminal: this one answers it, the other inherits the mask.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    sender.close()
    try:
        value, error = receiver.recv()
    except EOFError:
        raise InputError('the process that measures was ended from outside (out of memory?); measure less') from None
    finally:
        process.terminate()
        process.join()
    if error is not None:
        raise error
    return value


def _send_back(sender: Connection, function: Callable, args: tuple) -> None:
    outcome: tuple[Any, Exception | None]
    try:
        outcome = function(*args), None
    except Exception as error:
        outcome = None, error
    sender.send(outcome)


def print_results(results: dict) -> None:
    """Print what a benchmark gives as a table."""
    table = Table(title=cell(results['machine']))
    for column in ('measurement', 'median', 'p95', 'runs'):
        table.add_column(column, justify='left' if column == 'measurement' else 'right')
    for name, value in results.items():
        if isinstance(value, dict):
            table.add_row(name, f'{value["median_ms"]:.2f} ms', f'{value["p95_ms"]:.2f} ms', str(value['runs']))
        elif isinstance(value, float):
            table.add_row(name, f'{value:.2f}', '', '')
        elif isinstance(value, list):
            table.add_row(name, ' → '.join(f'{item:.0f}' for item in value), '', '')
        elif name != 'machine':
            table.add_row(name, cell(value), '', '')
    Console().print(table)
