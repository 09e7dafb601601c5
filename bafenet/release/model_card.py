"""The model card of exported weights, for people, and what was measured with them, for tests."""
import hashlib
import re
import statistics
from collections.abc import Sequence
from pathlib import Path, PurePath
from string import Template
from typing import Any

from bafenet.datasets.parts import loader_parts, split_names
from bafenet.errors import InputError, printable
from bafenet.evaluation.class_keys import CLASS_ROWS, split_class_key
from bafenet.evaluation.report import ROWS, has_legacy_sides, rows_of
from bafenet.evaluation.results import read_results
from bafenet.fields import require_dict, require_text, require_whole
from bafenet.fileio import write_json, write_text
from bafenet.markup import markdown_code, markdown_text
from bafenet.renamed import command_now
from bafenet_command import call_of

from ..engine.checkpoints import load_from_local, local_file
from ..engine.config_paths import setting
from ..engine.network import build_network
from ..engine.options import parse_config
from .export import DATA_ROOT, count_parameters, require_new

_CARD = Template("""\
# $name

A BAFE-Net for clustered infrared small targets: it finds targets of a few pixels in single infrared frames at their
native resolution, and segments the sky behind them. $parameters parameters, float16, $kilobytes KB
(SHA-256 `$sha256`).

```sh
python tools/test.py $config $name
```

The name stands for the file wherever a checkpoint is asked for: on the command line, as `load_from`, and as
`init_cfg=dict(type='Pretrained', checkpoint='$name')`. The file holds the resolved config (`meta.cfg`) and loads with
`torch.load(file, weights_only=True)`; in the network the weights are float32.

## How it was trained

| | |
|---|---|
$provenance

## Data

$data

The boxes are read as they are in the files: 0-based, with exclusive ends. The images are not part of this package;
their terms of use are their authors'.

## What was measured

Boxes with true sides, whole frames at native resolution; the first column was measured with this very file, on the
$images images of $split.

$metrics

Neighbouring frames of one recording look alike, and the official splits put some in training and some in testing: the
first column says what the network does on such frames. For scenes that it has never seen, see the column of a network
of the same config that was trained and tested on splits that share no recording, where there is one.

## What it is not good for

- Other kinds of target: it has learnt blobs of a few pixels, nearly all of them in the sky. Targets whose shape or
  texture can be seen, and those on the ground or at sea, are hardly what it saw.
- Other data: frames that were resized, sharpened or compressed, colour or radar images, and raw 14- or 16-bit data that
  are not brought to 8 bits.
- Exact extents. The edge of a faint blob is where a threshold put it; at IoU 0.75 half a pixel decides.
- Tracking, ranging or telling a drone from a bird: it looks at one frame and knows one class.
- Decisions without a person. $scores Outside the sky it raises false alarms.
""")
# What the datasets that networks here are trained on are, by the folder that each is put in (data/README.md).
_DATASETS = {
    'SIRSTdevkit': """\
DenseSIRST (Xiao et al., *Background Semantics Matter*, [arXiv:2407.20078](https://arxiv.org/abs/2407.20078)), from its
[authors](https://github.com/GrokCV/BAFE-Net): 1024 infrared images of 394 sizes with 13,655 real and synthetic targets
(of 11.5 pixels on average, most of them in clusters, 99.6 % in the sky), their boxes, and sky maps.""",
    'SIRSTv2devkit': """\
SIRST-V2 (Dai et al., *One-Stage Cascade Refinement Networks for Infrared Small Target Detection*,
[arXiv:2212.08472](https://arxiv.org/abs/2212.08472)): the real frames that DenseSIRST was made from, without the
clusters pasted there; half of them have no target, few have more than two. The sky maps are DenseSIRST's.""",
}
_CALIBRATED = """\
Its scores are calibrated: shares of right boxes where targets are about as
  frequent as in the frames that they were calibrated on (docs/calibration.md); elsewhere they are not."""
_UNCALIBRATED = 'Its scores are not probabilities.'


def write_card(weights: str,
               results: str,
               subset: str | None = None,
               beside: Sequence[Sequence[str]] = (),
               force: bool = False) -> dict:
    """Write ``NAME.md`` and ``NAME.json`` beside ``NAME.pth``.

    Args:
        weights: What :func:`~bafenet.release.export.export` wrote.
        results: What ``tools/test.py --out`` wrote with these weights.
        subset: The same on some of the images.
        beside: For each further column of the table its label and results of other networks.
        force: Overwrite the two files.

    Returns:
        What is written to ``NAME.json``: ``name``, ``sha256``, ``bytes``, ``parameters``, ``config``, ``provenance``,
        ``trained_on`` (split), ``data_roots`` (folders), ``max_epochs``, ``calibrated``; ``results`` and ``subset``,
        each with ``split``, ``images`` (their names), ``metrics`` and ``environment``; ``beside``, a list of ``label``,
        ``checkpoints``, ``split`` and ``metrics`` (by name ``mean``, ``std``, ``n``).

    Raises:
        InputError: If a file cannot be read, the results are of other weights, or a file exists and ``force`` is not
            given.
    """
    file = Path(local_file(weights))
    if not re.fullmatch(r'[\w.+-]+', file.stem):
        raise InputError(f'{printable(file)}: the card names the weights by their file; call it by letters, digits '
                         'and _ . + -')
    outputs = [file.with_suffix(suffix) for suffix in ('.json', '.md')]
    for out in outputs:
        require_new(str(out), out.suffix, force)
    labels = [label for label, *_ in beside]
    if len(set(labels)) < len(labels):
        raise InputError(f'--beside: the labels {", ".join(map(printable, labels))} are not all different; give each a '
                         'label of its own')
    record = _weights_record(file)
    record.update(_own_results(file, record['sha256'], results, subset),
                  beside=[_column(label, files) for label, *files in beside])
    write_json(outputs[0], record)
    write_text(outputs[1], markdown(record))
    return record


def _weights_record(file: Path) -> dict:
    content = load_from_local(file, map_location='cpu')
    try:
        meta = require_dict(content.get('meta', {}), 'meta')
        if 'provenance' not in meta:
            raise InputError('it says nothing about where it is from')
        provenance = _provenance(meta['provenance'])
        cfg = parse_config(require_text(meta.get('cfg'), 'meta.cfg'), str(file))
        # What the file does not say about the training is left out of the card; what it says wrongly is an error.
        for part in loader_parts(cfg, 'train'):
            require_text(part.settings.get('ann_file'), f'meta.cfg: {part.key}.ann_file', optional=True)
            require_text(part.settings.get('data_root'), f'meta.cfg: {part.key}.data_root', optional=True)
        trained_on = split_names(cfg.get('train_dataloader'))
        roots = dict.fromkeys(part.settings.get('data_root') or DATA_ROOT for part in loader_parts(cfg, 'train'))
        max_epochs = require_whole(setting(cfg, 'train_cfg', 'max_epochs'), 'meta.cfg: train_cfg.max_epochs',
                                   optional=True)
    except InputError as error:
        raise InputError(f'{printable(file)}: {error}; write it with {call_of("export")}') from None
    data = file.read_bytes()
    return dict(
        name=file.stem, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data),
        parameters=count_parameters(build_network(cfg, content, str(file))), provenance=provenance,
        trained_on=trained_on, data_roots=list(roots), max_epochs=max_epochs,
        calibrated=bool(setting(cfg, 'model', 'test_cfg', 'calibration')))


def _provenance(value: Any) -> dict:
    """Where weights are from, as :func:`~bafenet.release.export.export` has written it."""
    provenance = require_dict(value, 'meta.provenance', ('command', 'commit', 'seed', 'epochs', 'hardware'))
    for key in ('command', 'commit', 'hardware'):
        require_text(provenance[key], f'meta.provenance.{key}', optional=key == 'hardware')
    for key in ('seed', 'epochs'):
        require_whole(provenance[key], f'meta.provenance.{key}', optional=True)
    return provenance


def _own_results(file: Path, sha256: str, results: str, subset: str | None) -> dict:
    """The measurements of the weights themselves, on all images and on some."""
    contents = {key: _read(path, 'checkpoint_sha256') for key, path in (('results', results), ('subset', subset))
                if path}
    for key, content in contents.items():
        if content['checkpoint_sha256'] != sha256:
            raise InputError(f'{printable(dict(results=results, subset=subset)[key])}: the results are of '
                             f'{printable(content["checkpoint"])} with other bytes than {printable(file)}; test these '
                             'weights')
    measured = {key: dict(split=content['split'], images=[image['img_id'] for image in content['images']],
                          metrics=content['metrics'], environment=content['environment'])
                for key, content in contents.items()}
    parts = Path(contents['results']['config']).parts
    # Not where the repository lies on this machine.
    config = Path(*parts[parts.index('configs') if 'configs' in parts else 0:])
    if not re.fullmatch(r'[\w./+@=,:~-]*', str(config)):
        raise InputError(f'{printable(results)}: its config {printable(config)} is no name that a command could '
                         'have; test these weights with a config of another name')
    return dict(config=config.as_posix(), **measured)


def _read(path: str, *keys: str) -> dict:
    content = read_results(path, ('config', 'checkpoint', 'split', 'metrics', 'environment', *keys), ('img_id', ))
    if any('target_overlap' in image and 'gt_boxes' not in image for image in content['images']):
        raise InputError(f'{printable(path)}: results of target masks, and what a card says is of a detector; describe '
                         'these weights in a text of your own')
    if any(map(has_legacy_sides, content['metrics'])):
        raise InputError(f'{printable(path)}: its IoUs are of sides that are 1 too long, and the card says true '
                         'sides; test with test_evaluator.legacy_coordinates=False')
    return content


def _column(label: str, files: Sequence[str]) -> dict:
    """Results of other networks as one column: mean and sample standard deviation (None for one)."""
    if not files:
        raise InputError(f'--beside {printable(label)}: give a label and then result files')
    contents = [_read(file) for file in files]
    splits = sorted({content['split'] for content in contents})
    if len(splits) > 1:
        raise InputError(f'--beside {printable(label)}: the results are of several splits, '
                         f'{", ".join(map(printable, splits))}; give each a label')
    metrics = {}
    for key in contents[0]['metrics']:
        values = [content['metrics'][key] for content in contents if key in content['metrics']]
        metrics[key] = dict(mean=statistics.fmean(values), n=len(values),
                            std=statistics.stdev(values) if len(values) > 1 else None)
    return dict(label=label, checkpoints=[Path(content['checkpoint']).name for content in contents],
                split=contents[0]['split'], metrics=metrics)


def markdown(record: dict) -> str:
    """The model card.

    Args:
        record: What :func:`write_card` returns.
    """
    provenance = record['provenance']
    epochs, last = provenance['epochs'], record['max_epochs']
    if epochs is not None and last is not None:
        epochs = f'{epochs} of {last}' + (', the last one: none was picked' if epochs == last else '')
    rows = dict(commit=provenance['commit'], seed=provenance['seed'], data=', '.join(record['data_roots']),
                images=record['trained_on'], epochs=epochs, hardware=provenance['hardware'])
    command = provenance['command']
    lines = [f'| command | {markdown_code(command)} |']
    if command_now(command) != command:
        lines.append(f'| the same today | {markdown_code(command_now(command))} |')
    lines += [f'| {key} | {markdown_text(value)} |' for key, value in rows.items() if value is not None]
    return _CARD.substitute(
        record, parameters=f'{record["parameters"]:,}', kilobytes=f'{record["bytes"] / 1000:,.0f}',
        provenance='\n'.join(lines), data='\n\n'.join(map(_dataset, record['data_roots'])),
        scores=_CALIBRATED if record['calibrated'] else _UNCALIBRATED,
        images=len(record['results']['images']), split=markdown_code(record['results']['split']),
        metrics=_metrics_table(record))


def _dataset(root: str) -> str:
    name = PurePath(root).name
    return _DATASETS.get(name, f'{markdown_text(name)}, a dataset of whoever trained it.')


def _metrics_table(record: dict) -> str:
    own = record['results']
    columns = [(f'these weights, {markdown_code(own["split"])}',
                {key: f'{value:.3f}' for key, value in own['metrics'].items()})]
    columns += [(f'{markdown_text(column["label"])}, {markdown_code(column["split"])}',
                 {key: _number(value) for key, value in column['metrics'].items()}) for column in record['beside']]
    by_name = [{key.rsplit('/', 1)[-1]: text for key, text in column.items()} for _, column in columns]
    known = dict.fromkeys(key for column in by_name for key in column)
    titles = {key: ROWS[key] for key in rows_of(known)} | {
        key: f'{CLASS_ROWS[parts[0]]}, {markdown_text(parts[1])}' for key in known if (parts := split_class_key(key))}
    lines = [_line(['', *(head for head, _ in columns)]), _line(['---'] + ['---:'] * len(columns))]
    lines += [_line([title, *(column.get(name, 'n/a') for column in by_name)]) for name, title in titles.items()]
    return '\n'.join(lines)


def _line(cells: list[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _number(summary: dict[str, float | None]) -> str:
    spread = '' if summary['std'] is None else f' ± {summary["std"]:.3f} (n = {summary["n"]})'
    return f'{summary["mean"]:.3f}{spread}'
