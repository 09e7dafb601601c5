"""Benchmark of the ways to run one network on a CPU: PyTorch, fused or not, bfloat16, onnxruntime and int8, in turn."""
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.evaluation.functional import bbox_overlaps
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from bafenet.devkit import image_size
from bafenet.devkit.frames import read_frame
from bafenet.errors import InputError, first_line
from bafenet.markup import cell
from bafenet.synthesis.scenes import draw_scene, make_library

from ..apis.detector import load
from ..engine.silent_logging import quiet
from ..models.onnx_file import require_onnx
from ..release.onnx_accuracy import read, split_files, spread
from ..release.onnx_build import Trained, build_onnx
from ..release.onnx_export import write_int8
from .benchmark import machine_of, summary

# What each is, in the table.
BACKENDS = dict(
    baseline='PyTorch float32, not fused, memory returned',
    torch='PyTorch float32',
    bf16='PyTorch bfloat16',
    onnx='onnxruntime float32',
    int8='onnxruntime int8')
WARMUP = 2
# Threads of the backend before go on looking for work a while.
PAUSE_S = 0.1
# Two boxes are the same target, and likely one, from here on.
SAME_IOU, LIKELY = 0.5, 0.3
CALIBRATION = 32


@dataclass(frozen=True)
class Job:
    """What a process that predicts needs: the backend's name, its weights, threads, and frames (H, W) in order."""

    backend: str
    weights: str
    threads: int
    frames: list[np.ndarray]


def benchmark_backends(weights: str = 'bafenet_hr_tiny',
                       backends: Sequence[str] = ('baseline', 'torch', 'onnx', 'int8'),
                       shape: tuple[int, int] = (512, 640),
                       images: int = 30,
                       data_root: str | None = None,
                       threads: int | None = None) -> dict[str, Any]:
    """Time ``bafenet.load(…)(frame)`` at batch 1, from the frame in memory to boxes after NMS and the sky.

    Each backend has a process of its own, so that allocators and waiting threads do not meddle with each other; they
    take turns, so that a machine whose speed drifts slows all alike.

    Args:
        weights: A shipped name, or a checkpoint.
        backends: Names of :data:`BACKENDS`. ONNX files are made for the purpose, int8 calibrated on training frames.
        shape: Height and width of the frames.
        images: How many runs of each count.
        data_root: Devkit, instead of the config's; frames of its test split. Made scenes where it is not at hand.
        threads: Threads of each; PyTorch's own number by default.

    Returns:
        ``machine``, ``frames`` (what they are), and by backend :func:`~bafenet.analysis.benchmark.summary`,
        ``frames_per_second`` by the median, ``ratio`` of the baseline's median to its own, ``same_boxes``: of the
        boxes above a score of 0.3, the share that float32 PyTorch has too (IoU of at least 0.5; 2 · same / all), and
        ``same_sky``: the share of pixels. What cannot be compared is None.

    Raises:
        InputError: If a backend is unknown or cannot be run, or the devkit has no such frame.
    """
    unknown = [name for name in backends if name not in BACKENDS]
    if unknown or not backends:
        raise InputError(f'--backends {" ".join(unknown)}: give some of {", ".join(BACKENDS)}')
    trained = Trained.read(weights)
    frames, kind = _test_frames(trained, shape, images, data_root)
    count = threads or torch.get_num_threads()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='bafenet-')))
        places = _onnx_files(trained, folder, backends, shape, data_root)
        workers = {name: stack.enter_context(_worker(Job(name, places.get(name, weights), count, frames)))
                   for name in dict.fromkeys(backends)}
        times, results = _in_turn(workers, images, len(frames))
    results_of = {name: _result(name, times, results) for name in workers}
    return dict(machine=machine_of('cpu', count), frames=kind, weights=weights, backends=results_of)


def _in_turn(workers: dict[str, Connection], runs: int, frames: int) -> tuple[dict, dict]:
    """Seconds of each run, and what was found in each frame, by backend."""
    times: dict[str, list[float]] = {name: [] for name in workers}
    found: dict[str, dict[int, tuple]] = {name: {} for name in workers}
    for run in tqdm(range(-WARMUP, runs), desc='measuring', leave=False, disable=None):
        for name, worker in workers.items():
            time.sleep(PAUSE_S)
            worker.send(run % frames)
            seconds, result = _answer(worker, name)
            if run >= 0:
                times[name].append(seconds)
                found[name][run % frames] = result
    return times, found


@contextmanager
def _worker(job: Job) -> Iterator[Connection]:
    """A process that predicts frames by their number; it ends with the context."""
    context = get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, job), daemon=True)
    process.start()
    theirs.close()
    try:
        _answer(ours, job.backend)
        yield ours
    finally:
        process.terminate()
        process.join()


def _answer(worker: Connection, name: str) -> Any:
    try:
        answer = worker.recv()
    except EOFError:
        raise InputError(f'{name}: the process that predicts was ended from outside (out of memory?); take smaller '
                         'frames') from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(parent: Connection, job: Job) -> None:
    """Load a backend, then answer the numbers of frames with seconds, likely boxes (n, 4) and the sky."""
    try:
        torch.set_num_threads(job.threads)
        cv2.setNumThreads(job.threads)
        baseline = job.backend == 'baseline'
        with quiet():
            detector = load(job.weights, precision='bfloat16' if job.backend == 'bf16' else 'float32',
                            fuse=not baseline, keep_memory=not baseline)
        parent.send(None)
        while True:
            frame = job.frames[parent.recv()]
            start = time.perf_counter()
            result = detector(frame)
            seconds = time.perf_counter() - start
            parent.send((seconds, (result.boxes[result.scores >= LIKELY], result.sky)))
    except (EOFError, OSError):
        return  # nobody asks any more
    except InputError as error:
        parent.send(error)
    except Exception as error:  # whatever a network can raise; the parent says it in one line
        parent.send(InputError(f'{job.backend}: {type(error).__name__}: {first_line(error)}'))


def _onnx_files(trained: Trained, folder: Path, backends: Sequence[str], shape: tuple[int, int],
                data_root: str | None) -> dict[str, str]:
    """ONNX files of the network, by backend, as far as they are asked for."""
    if not {'onnx', 'int8'} & set(backends):
        return {}
    require_onnx('onnx')
    plain, small = folder / 'float32.onnx', folder / 'int8.onnx'
    plain.write_bytes(build_onnx(trained))
    if 'int8' in backends:
        files = spread(split_files(trained.cfg, 'train', data_root), CALIBRATION)
        frames = read(files) if files else (frame[..., None] for frame in made_frames(shape, CALIBRATION // 4, seed=1))
        write_int8(trained, plain, small, frames)
    return dict(onnx=str(plain), int8=str(small))


def _test_frames(trained: Trained, shape: tuple[int, int], count: int,
                 data_root: str | None) -> tuple[list[np.ndarray], str]:
    """Frames of a size, and what they are: the test split's, or made ones where there is no devkit."""
    files = split_files(trained.cfg, 'test', data_root)
    if files:
        fitting = [file for file in files if image_size(file)[::-1] == tuple(shape)]
        if not fitting:
            raise InputError(f'the test split has no image of {shape[0]}x{shape[1]} (height x width); give a size '
                             'that it has by --shape H W')
        chosen = spread(fitting, count)
        return [read_frame(file).image for file in chosen], f'{len(chosen)} frames of the test split'
    if data_root is not None:
        raise InputError(f'--data-root {data_root}: it has no test split')
    frames = list(made_frames(shape, min(count, 8)))
    return frames, f'{len(frames)} made scenes'


def made_frames(shape: tuple[int, int], count: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Scenes of the demo set, uint8 (H, W), cut to a shape."""
    library, side = make_library(seed), max(96, *shape)
    for index in range(count):
        yield np.ascontiguousarray(draw_scene(seed, index, side, library).image[:shape[0], :shape[1]])


def _result(name: str, times: dict[str, list[float]], found: dict[str, dict[int, tuple]]) -> dict[str, Any]:
    own = summary(times[name])
    base, truth = times.get('baseline'), found.get('torch', found.get('baseline'))
    pairs = [(truth[frame], found[name][frame]) for frame in truth] if truth else []
    skies = [(one[1], other[1]) for one, other in pairs if one[1] is not None]
    return dict(
        own,
        frames_per_second=1000 / own['median_ms'],
        ratio=float(np.median(base) * 1000 / own['median_ms']) if base else None,
        same_boxes=same_boxes([(one[0], other[0]) for one, other in pairs]) if pairs else None,
        same_sky=float(np.mean([np.mean(one == other) for one, other in skies])) if skies else None)


def same_boxes(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Share of boxes that both of two networks found: 2 · pairs / (boxes of one + boxes of the other).

    Args:
        pairs: Boxes (n, 4) and (m, 4) of each frame.

    Returns:
        From 0 to 1; None where neither found any.
    """
    matched = total = 0
    for one, other in pairs:
        total += len(one) + len(other)
        iou = bbox_overlaps(one, other)
        matched += int((iou[linear_sum_assignment(iou, maximize=True)] >= SAME_IOU).sum())
    return 2 * matched / total if total else None


def print_backends(results: dict[str, Any]) -> None:
    """Print what :func:`benchmark_backends` gives as a table."""
    table = Table(title=cell(results['machine']), caption=cell(f'{results["weights"]}, {results["frames"]}'))
    for column in ('backend', 'what', 'median', 'p95', 'frames/s', 'ratio', 'same boxes', 'same sky'):
        table.add_column(column, justify='left' if column in ('backend', 'what') else 'right')
    for name, value in results['backends'].items():
        shares = ['' if value[key] is None else f'{value[key]:.4f}' for key in ('same_boxes', 'same_sky')]
        ratio = '' if value['ratio'] is None else f'{value["ratio"]:.2f}'
        table.add_row(name, BACKENDS[name], f'{value["median_ms"]:.1f} ms', f'{value["p95_ms"]:.1f} ms',
                      f'{value["frames_per_second"]:.1f}', ratio, *shares)
    Console().print(table)
