"""What a run is, in words: config, data, commit, machine, versions, seed, times; and in what configs differ."""
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bafenet.arguments import shown
from bafenet.datasets.parts import split_settings
from bafenet.engine.config_paths import setting

from .collect import Run
from .numbers import tested_on

NOT_RECORDED = 'not recorded'
MOST_DIFFERENCES = 100
_LONGEST_VALUE = 120  # characters
# What a run is made from; a config's other values are names for parts of these, or say where it was started.
_COMPARED = ('model', 'train_dataloader', 'val_dataloader', 'test_dataloader', 'optim_wrapper', 'param_scheduler',
             'train_cfg', 'val_cfg', 'test_cfg', 'val_evaluator', 'test_evaluator', 'randomness', 'default_hooks',
             'custom_hooks')
_ABSENT = object()


def facts_of(run: Run) -> list[tuple[str, list[tuple[str, str]]]]:
    """Headings, empty for the first, with names and values; what a run has not recorded says so."""
    own = [('Config', run.config_name or 'not known'), *([('Row of a table', run.row)] if run.row else [])]
    groups = [('', own)]
    if run.scalars or run.trained:
        groups.append(('Training', [*_of_training(run), *_provenance(run.trained)]))
    if run.results:
        groups.append(('Test', [*_of_test(run), *_provenance(run.results)]))
    elif run.tested:
        groups.append(('Test', [('Tested on', tested_on(run)), ('Kept', 'its metrics alone')]))
    else:
        own.append(('Tested', 'no'))
    return groups


def _of_training(run: Run) -> Iterator[tuple[str, str]]:
    trained = run.trained
    yield 'Trained on', _splits(run, 'train_dataloader')
    yield 'Validated on', _splits(run, 'val_dataloader') if run.config.get('val_dataloader') else 'nothing'
    epochs = setting(run.config, 'train_cfg', 'max_epochs')
    if epochs is not None:
        yield 'Epochs', shown(epochs)
    if 'loss' in run.scalars:
        yield 'Last step logged', f'{run.scalars["loss"][-1, 0]:.0f}'
    if 'finished' in trained:
        yield 'Ended', 'after its last epoch' if trained['finished'] is True else 'before its last epoch, or still runs'
    seed = trained.get('seed', setting(run.config, 'randomness', 'seed'))
    yield 'Seed', NOT_RECORDED if seed is None else shown(seed)


def _of_test(run: Run) -> Iterator[tuple[str, str]]:
    results = run.results
    yield 'Tested on', tested_on(run)
    targets = [len(image['gt_boxes']) if 'gt_boxes' in image else image.get('targets', 0) for image in run.images]
    empty = f', {targets.count(0)} of them without any' if 0 in targets else ''
    yield 'Frames and targets', f'{len(run.images)} frames with {sum(targets)} targets{empty}'
    if sizes := {tuple(image['shape']) for image in run.images if 'shape' in image}:
        low, high = (choose(sizes, key=lambda size: (size[0] * size[1], size)) for choose in (min, max))
        yield 'Sizes of frames', (f'all {low[1]}×{low[0]} pixels' if len(sizes) == 1 else
                                  f'{len(sizes)}, from {low[1]}×{low[0]} to {high[1]}×{high[0]} pixels')
    seen = results.get('training_images')
    yield 'Training images among them', 'not looked for' if seen is None else str(seen)
    yield 'Results file', run.results_file
    yield 'Checkpoint', Path(str(results.get('checkpoint') or NOT_RECORDED)).name
    yield 'SHA-256 of the checkpoint', str(results.get('checkpoint_sha256') or NOT_RECORDED)


def _provenance(record: dict) -> Iterator[tuple[str, str]]:
    """Commit, machine, versions and times of a training or a test."""
    environment = record.get('environment', {})
    yield 'Commit', record.get('commit') or NOT_RECORDED
    yield 'Machine', ' · '.join(filter(None, (record.get('machine'), environment.get('device')))) or NOT_RECORDED
    versions = ', '.join(f'{name} {value}' for name, value in environment.items() if name != 'device')
    yield 'Versions', versions or NOT_RECORDED
    yield 'Started', record.get('started') or NOT_RECORDED
    yield 'Time', _duration(record['seconds']) if record.get('seconds') else NOT_RECORDED


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min {seconds} s' if minutes else f'{seconds} s'


def _splits(run: Run, loader: str) -> str:
    parts = [f'{Path(str(part.get("data_root") or "")).name} {Path(part["ann_file"]).stem}'.strip()
             for part in split_settings(run.config.get(loader))]
    return ', '.join(dict.fromkeys(parts)) or 'not known'


# --- Differences ------------------------------------------------------------------------------------------------------


def differences(runs: Sequence[Run]) -> tuple[dict[str, Any] | None, list[str]]:
    """The settings in which the configs of runs differ, as a table for the template, and notes on it.

    Returns:
        None where fewer than two configs can be compared, or they do not differ.
    """
    # Several tests of one training have one config.
    flat: dict[str, dict[str, Any]] = {}
    for run in runs:
        values = dict(_flatten(run.config))
        if values and values not in flat.values():
            flat[run.label] = values
    unread = [run.label for run in runs if not run.config]
    notes = [f'The config of {", ".join(unread)} cannot be compared: it is not there, or more than plain '
             'values.'] if unread else []
    keys = [key for key in dict.fromkeys(key for values in flat.values() for key in values)
            if any(values.get(key, _ABSENT) != next(iter(flat.values())).get(key, _ABSENT) for values in flat.values())]
    if len(flat) < 2 or not keys:
        return None, []
    if len(keys) > MOST_DIFFERENCES:
        notes.append(f'{len(keys)} settings differ; the first {MOST_DIFFERENCES} are shown.')
    rows = [dict(name=key, kind='', cells=[dict(text=_value(values, key), value=None, mark='')
                                           for values in flat.values()]) for key in keys[:MOST_DIFFERENCES]]
    return dict(columns=['Setting', *flat], rows=rows), notes


def _flatten(value: Any, path: str = '') -> Iterator[tuple[str, Any]]:
    """Settings by dotted key; a step of a pipeline by its type, as ``--cfg-options`` takes it."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            if path or key in _COMPARED:
                yield from _flatten(item, f'{path}.{key}' if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        types = [str(item.get('type', index)) if isinstance(item, dict) else str(index)
                 for index, item in enumerate(value)]
        for index, (name, item) in enumerate(zip(types, value, strict=True)):
            yield from _flatten(item, f'{path}.{name if types.count(name) == 1 else index}')
    else:
        yield path, list(value) if isinstance(value, tuple) else value


def _value(values: dict[str, Any], key: str) -> str:
    return shown(values[key], _LONGEST_VALUE) if key in values else '—'
