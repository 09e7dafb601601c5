"""Testing a checkpoint, as ``tools/test.py`` does once its arguments are parsed, and the file of its results."""
import math
import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.runner import Runner

from bafenet.datasets.parts import split_names
from bafenet.display import require_display
from bafenet.errors import InputError, printable
from bafenet.evaluation import DenseSIRSTMetric, print_metrics
from bafenet.evaluation.report import plain_keys
from bafenet.fileio import require_json_name, require_writable_folder, write_json
from bafenet_command import call_of

from ..compat.allocator import keep_freed_memory
from .carried_calibration import carry_calibration
from .checkpoints import checkpoint_sha256, find_checkpoint
from .fuse_hook import with_fuse_hook
from .options import Settings
from .own_test import OwnTest
from .prepare import TESTING, allow_training_images_in, build_runner, prepare_config
from .provenance import Provenance
from .splits import DEFAULT as DEFAULT_SPLITS
from .training_images import TrainingImagesHook

CALIBRATED = ('scores are calibrated as the config in the weights says; with --cfg-options '
              'model.test_cfg.calibration=False they are the network\'s own')


def test(config: str,
         checkpoint: str,
         work_dir: str | None = None,
         out: str | None = None,
         show: bool = False,
         show_dir: str | None = None,
         wait_time: float = 2.0,
         cfg_options: list[str] | None = None,
         launcher: str = 'none',
         allow_training_images: bool = False,
         splits: str | None = None,
         data: str | None = None) -> dict:
    """Test a checkpoint on the test split and print a table.

    Args:
        config: Config file.
        checkpoint: Checkpoint file, the work dir whose best one is meant (the last one of a run that picks none), or
            the name of weights that come with the package.
        work_dir: Folder for logs; ``work_dirs/`` and the config's name where it is None.
        out: JSON file for every metric and the detections of each image.
        show: Show each image in a window.
        show_dir: Write each image, with true and predicted boxes and the predicted sky, to this folder.
        wait_time: Seconds to show an image.
        cfg_options: ``KEY=VALUE`` options.
        launcher: ``'none'`` or a distributed launcher.
        allow_training_images: Test on images that the network was trained on; table and file then say so.
        splits: The splits to test on, as ``'rec'``; see :func:`load_config`.
        data: Devkit that is tested on instead of the config's data, or frames with target masks where the config reads
            these; see :class:`OwnTest`.

    Returns:
        The metrics.

    Raises:
        InputError: Where the input is bad.
    """
    require_json_name(out)
    if show:
        require_display('--show', 'with --show-dir')
    file = find_checkpoint(checkpoint)
    own = None if data is None else OwnTest(data, splits, file)
    settings: list[tuple[str, Settings]] = [] if own is None else [('--data', own.settings)]
    cfg = prepare_config(config, work_dir, cfg_options, launcher, TESTING, splits=None if own else splits,
                         settings=settings)
    cfg.load_from, cfg.resume = file, False
    allow_training_images_in(cfg, config, allow_training_images)
    require_writable_folder(cfg.work_dir, '--work-dir')
    require_writable_folder(show_dir, '--show-dir')
    if show or show_dir:
        # The hook joins a relative folder to itself once per image.
        cfg.default_hooks.visualization.update(
            draw=True, show=show, wait_time=wait_time, test_out_dir=show_dir and os.path.abspath(show_dir))
    if own is not None and is_main_process():
        print(*own.prepare(cfg), sep='\n', flush=True)
    calibrated = carry_calibration(cfg, file)
    provenance = Provenance(cfg, config)
    keep_freed_memory()
    runner = build_runner(with_fuse_hook(cfg))
    if out or show_dir:
        _require_names_apart(runner.test_dataloader.dataset, '--out' if out else '--show-dir')
    metrics = runner.test()
    if is_main_process():
        trained_on = next((hook.tested for hook in runner.hooks if isinstance(hook, TrainingImagesHook)), None)
        # First: whoever reads the table may have left.
        if out:
            write_results(out, runner, metrics, provenance, trained_on)
        if cfg.get('splits', DEFAULT_SPLITS) != DEFAULT_SPLITS:
            print(f'splits: {cfg.splits}')
        scores = {metric.fppi_score for metric in runner.test_evaluator.metrics if isinstance(metric, DenseSIRSTMetric)}
        print_metrics(metrics, trained_on or 0, scores.pop() if len(scores) == 1 else None)
        print(*_score_lines(metrics), *([CALIBRATED, ''] if calibrated else []), sep='\n', end='')
    return metrics


def _score_lines(metrics: dict) -> list[str]:
    """Which score to predict with, rounded down so that the detection that has it stays."""
    values = plain_keys(metrics)
    best = values.get('score_threshold')
    return [] if best is None or not values.get('f1') else [
        f'the best F1 is at score {best:.3f}: {call_of("predict")} … --score {math.floor(best * 1000) / 1000:g} gives '
        'these detections, a lower score more of them and more false alarms', '']


def write_results(out: str, runner: Runner, metrics: dict, provenance: Provenance,
                  trained_on: int | None = None) -> None:
    """Write every metric, its curves and what each image gave as JSON, with what is needed to repeat the run.

    Where the place that was writable before the test no longer is, they are kept in the folder for temporary files.

    Raises:
        InputError: If they could not be written where they belong; it says where they are.
    """
    measured = runner.test_evaluator.metrics
    images = _merged([metric.image_results for metric in measured if hasattr(metric, 'image_results')])
    curves = [metric.curves for metric in measured if hasattr(metric, 'curves')]
    results = dict(
        provenance.record(),
        checkpoint=runner.cfg.load_from,
        checkpoint_sha256=checkpoint_sha256(runner.cfg.load_from),
        splits=runner.cfg.get('splits'),
        split=split_names(runner.cfg.test_dataloader),
        training_images=trained_on,
        metrics=metrics,
        **(dict(curves=curves[0]) if curves else {}),
        images=images)
    try:
        write_json(out, results)
    except OSError as error:
        refuge = Path(tempfile.mkdtemp(prefix='bafenet-'), Path(out).name)
        write_json(refuge, results)
        raise InputError(f'{out}: cannot be written ({error.strerror}); the results are in {refuge}') from error
    runner.logger.info(f'wrote {out}')


def _merged(of_metrics: list[list[dict]]) -> list[dict]:
    """What each metric has counted of each image, in one dict; of what two of them count, the first one's."""
    return [{key: value for part in reversed(parts) for key, value in part.items()}
            for parts in zip(*of_metrics, strict=True)]


def _require_names_apart(dataset: Any, option: str) -> None:
    """Refuse several datasets with an image of one name: results and pictures go by it."""
    if not hasattr(dataset, 'get_data_info'):
        return
    names = Counter(str(dataset.get_data_info(index).get('img_id', index)) for index in range(len(dataset)))
    name, count = next(iter(names.most_common(1)), ('', 1))
    if count > 1:
        raise InputError(f'{count} images of test_dataloader are called {printable(name)}: {option} goes by the names; '
                         f'test its datasets one by one, or without {option}')
