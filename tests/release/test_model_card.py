"""Model cards: every number with where it is from, nothing of a file but text, no command that does something else."""
import hashlib
import json
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from small_checkpoints import NAME, PROVENANCE, write_checkpoint, write_config

from bafenet.engine.options import parse_config
from bafenet.errors import InputError
from bafenet.release.export import export
from bafenet.release.model_card import write_card


@pytest.fixture(scope='module')
def checkpoint(devkit, tmp_path_factory):
    return write_checkpoint(write_config(tmp_path_factory.mktemp('exported') / 'tiny.py', devkit))


@pytest.fixture(scope='module')
def exported(checkpoint, tmp_path_factory):
    """A folder of shipped weights, and what the export said."""
    folder = tmp_path_factory.mktemp('weights')
    return folder, export(checkpoint, str(folder / f'{NAME}.pth'), **PROVENANCE)


def results(path, checkpoint=NAME, split='Splits/test_v2.txt', images=('a', 'b'), sha256='', **metrics):
    path.write_text(json.dumps(dict(
        config='/x/configs/b/t.py', checkpoint=checkpoint, checkpoint_sha256=sha256, split=split,
        environment=dict(torch='2'),
        metrics={f'densesirst/{key}': value for key, value in metrics.items()},
        images=[dict(img_id=image) for image in images])))
    return str(path)


def test_the_card_holds_provenance_and_every_number(exported, tmp_path):
    folder, report = exported
    file = tmp_path / f'{NAME}.pth'
    file.write_bytes((folder / file.name).read_bytes())
    own = results(tmp_path / 'own.json', sha256=report['sha256'], mAP_12=0.9512, sky_iou=0.91)
    some = results(tmp_path / 'some.json', f'x/{NAME}.pth', images=['b'], sha256=report['sha256'], mAP_12=0.875)
    others = [results(tmp_path / f'{seed}.json', f'best_{seed}.pth', 'Splits/test_rec.txt', mAP_12=value)
              for seed, value in enumerate((0.5, 0.75))]
    assert load_tool('model_card.py').main([str(file), '--results', own, '--subset', some, '--beside', 'by recording',
                                            *others]) == 0
    record = json.loads(file.with_suffix('.json').read_text())
    assert (record['name'], record['sha256'], record['config']) == (NAME, report['sha256'], 'configs/b/t.py')
    assert record['results']['images'] == ['a', 'b'] and record['subset']['images'] == ['b']
    assert record['subset']['metrics'] == {'densesirst/mAP_12': 0.875}
    assert record['beside'][0]['metrics']['densesirst/mAP_12'] == dict(mean=0.625, n=2, std=pytest.approx(0.1767767))
    card = file.with_suffix('.md').read_text()
    for text in (f'# {NAME}', f'tools/test.py configs/b/t.py {NAME}', report['sha256'], f'{report["parameters"]:,}',
                 '--seed 3 \\| tee log', '0123abc', '| seed | 3 |', '14 of 14, the last one', 'Splits/train',
                 '2 images of `Splits/test_v2.txt`', 'by recording, `Splits/test_rec.txt`', 'arXiv:2407.20078',
                 'What it is not good for', '| mAP_12 (IoU 0.5) | 0.951 | 0.625 ± 0.177 (n = 2) |',
                 '| sky IoU | 0.910 | n/a |'):
        assert text in card, text
    assert '$' not in card and str(tmp_path) not in card + json.dumps(record)
    assert 'false alarms per image, at' not in card  # of sets without sky maps
    with pytest.raises(InputError, match='--force'):
        write_card(str(file), own)
    write_card(str(file), own, force=True)
    assert 'subset' not in json.loads(file.with_suffix('.json').read_text())


@pytest.mark.parametrize(('kind', 'message'), [
    ('other weights', f'own.json: the results are of {NAME} with other bytes than'),
    ('no file', 'not what tools/test.py'), ('another file', 'it has no checkpoint, checkpoint_sha256; test'),
    ('not exported', 'says nothing about where it is from'), ('sides + 1', 'legacy_coordinates=False'),
    ('no files', 'by recording: give a label'), ('two splits', 'by recording: .* several splits, a.txt, b.txt'),
    ('one label twice', 'the labels by recording, by recording are not all different')])
def test_what_cannot_be_on_a_card_is_refused(checkpoint, exported, tmp_path, kind, message):
    file = tmp_path / f'{NAME}.pth'
    source = Path(checkpoint) if kind == 'not exported' else exported[0] / file.name
    file.write_bytes(source.read_bytes())
    # The same name is not enough.
    sha256 = 'a' * 64 if kind == 'other weights' else hashlib.sha256(file.read_bytes()).hexdigest()
    own = results(tmp_path / 'own.json', sha256=sha256, **({'mAP_12_legacy': 0.5} if kind == 'sides + 1' else {}))
    others = [results(tmp_path / f'{split}.json', 'b.pth', split) for split in ('a.txt', 'b.txt')]
    beside = {
        'no files': [['by recording']],
        'two splits': [['by recording', *others]],
        'one label twice': [['by recording', other] for other in others],
    }
    if kind == 'no file':
        own = str(tmp_path / 'absent.json')
    elif kind == 'another file':
        Path(own).write_text('{"config": "", "split": "", "metrics": {}, "environment": {}, "images": []}')
    with pytest.raises(InputError, match=message):
        write_card(str(file), own, beside=beside.get(kind, []))
    assert not file.with_suffix('.md').exists()


HOSTILE = '<img src=x> | `b`\n# head \x1b[31m'


def respell(file, **meta):
    """Change what exported weights say of themselves; returns the new checksum."""
    content = torch.load(file)
    content['meta'].update(meta)
    torch.save(content, file)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_nothing_but_text_of_files_comes_onto_the_card(exported, tmp_path):
    file = tmp_path / f'{NAME}.pth'
    file.write_bytes((exported[0] / file.name).read_bytes())
    cfg = parse_config(torch.load(file)['meta']['cfg'], 'a.pth')
    cfg.train_dataloader.dataset.ann_file = HOSTILE
    sha256 = respell(file, cfg=cfg.pretty_text, provenance=dict(command=HOSTILE, commit=HOSTILE, hardware=HOSTILE,
                                                                seed=1, epochs=2))
    own = results(tmp_path / 'own.json', sha256=sha256, split=HOSTILE, mAP_12=0.5)
    other = results(tmp_path / 'other.json', HOSTILE, HOSTILE, mAP_12=0.5)
    write_card(str(file), own, beside=[[HOSTILE, other], ['these weights', other]])
    card = file.with_suffix('.md').read_text()
    assert '<img' not in card and '\x1b' not in card and '\n# head' not in card and '&lt;img src=x&gt;' in card
    rows = [line for line in card.replace(r'\|', '').splitlines() if line.startswith('| ')]
    assert {row.count('|') for row in rows[:7]} == {3} and {row.count('|') for row in rows[8:]} == {5}


def test_the_card_describes_each_dataset_and_what_scores_are(exported, tmp_path):
    file = tmp_path / f'{NAME}.pth'
    cards = {}
    for calibration in (None, dict(scores=[0.1, 0.4], shares=[0.2, 0.8], likely=0.7)):
        file.write_bytes((exported[0] / file.name).read_bytes())
        cfg = parse_config(torch.load(file)['meta']['cfg'], 'a.pth')
        one = cfg.train_dataloader.dataset
        parts = [dict(one, data_root=f'data/{name}') for name in ('SIRSTdevkit', 'SIRSTv2devkit', 'my|own')]
        cfg.train_dataloader.dataset = dict(_delete_=True, type='ConcatDataset', datasets=[*parts, parts[1]])
        cfg.model.test_cfg = dict(cfg.model.test_cfg, calibration=calibration)
        own = results(tmp_path / 'own.json', sha256=respell(file, cfg=cfg.pretty_text), mAP_12=0.5)
        write_card(str(file), own, force=True)
        cards[calibration is not None] = file.with_suffix('.md').read_text()
    data = cards[True].split('## Data')[1].split('##')[0]
    for text in ('arXiv:2407.20078', 'arXiv:2212.08472', 'my\\|own, a dataset of'):
        assert data.count(text) == 1
    assert 'data/SIRSTdevkit, data/SIRSTv2devkit, data/my\\|own |' in cards[True]
    assert 'scores are calibrated' in cards[True] and 'not probabilities' not in cards[True]
    assert 'scores are not probabilities' in cards[False] and 'calibrated' not in cards[False]


@pytest.mark.parametrize(('meta', 'message'), [
    (dict(provenance='here'), "meta.provenance is 'here'"),
    (dict(provenance={}), 'meta.provenance has no command'),
    *((dict(provenance=dict(dict(command='c', commit='c', hardware=None, seed=1, epochs=1), **{key: value})),
       f'meta.provenance.{key} must be')
      for key, value in (('command', 5), ('commit', None), ('hardware', ['a']), ('seed', 'x'), ('epochs', 1.5))),
    (dict(cfg=5), 'meta.cfg is 5'), (dict(cfg=None), 'meta.cfg is None'), (dict(cfg=b'a'), 'meta.cfg is a bytes'),
    (dict(cfg='train_dataloader = dict(dataset=dict(ann_file=5))'), 'ann_file must be text'),
    (dict(cfg='train_dataloader = dict(dataset=dict(data_root=5))'), 'data_root must be text'),
    (dict(cfg='train_cfg = dict(max_epochs="many")'), 'max_epochs must be'),
    (dict(cfg='train_cfg = []'), 'its config has no model'), (dict(cfg='model = "FCOS"'), 'its config has no model')])
def test_a_field_of_weights_that_a_card_cannot_tell_is_named(exported, tmp_path, meta, message):
    file = tmp_path / f'{NAME}.pth'
    file.write_bytes((exported[0] / file.name).read_bytes())
    own = results(tmp_path / 'own.json', sha256=respell(file, **meta))
    with pytest.raises(InputError, match=message) as caught:
        write_card(str(file), own)
    assert str(file) in str(caught.value) and str(caught.value).isprintable()
    assert not file.with_suffix('.md').exists()


@pytest.mark.parametrize('name', ['configs/a.py;rm', 'configs/a b.py', 'configs/`x`.py', 'configs/a\n.py',
                                  'configs/<b>.py'])
def test_a_card_gives_no_command_that_does_something_else(exported, tmp_path, name):
    file = tmp_path / f'{NAME}.pth'
    file.write_bytes((exported[0] / file.name).read_bytes())
    own = results(tmp_path / 'own.json', sha256=exported[1]['sha256'])
    Path(own).write_text(Path(own).read_text().replace('"/x/configs/b/t.py"', json.dumps(name)))
    with pytest.raises(InputError, match='own.json: its config .* no name that a command could have'):
        write_card(str(file), own)


def test_weights_are_called_by_a_plain_name(exported, tmp_path):
    file = tmp_path / 'a b$(x).pth'
    file.write_bytes((exported[0] / f'{NAME}.pth').read_bytes())
    with pytest.raises(InputError, match='the card names the weights by their file'):
        write_card(str(file), results(tmp_path / 'own.json', sha256=exported[1]['sha256']))


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('cfg', 5, 'meta.cfg is 5'), ('cfg', None, 'meta.cfg is None'), ('seed', 'x', "meta.seed is 'x'"),
    ('epoch', -1, 'meta.epoch is -1'), ('epoch', 1.5, 'meta.epoch is 1.5'),
    ('dataset_meta', [], 'meta.dataset_meta is a list'),
    ('dataset_meta', dict(classes='Target'), "meta.dataset_meta.classes is 'Target'"),
    ('dataset_meta', dict(classes=[1]), 'meta.dataset_meta.classes is a list, not a list of names'),
    ('dataset_meta', dict(palette=[1]), r'meta.dataset_meta.palette\[0\] must be a list'),
    ('dataset_meta', dict(palette=[['a']]), r'meta.dataset_meta.palette\[0\] must be a whole number')])
def test_a_field_of_a_checkpoint_of_a_wrong_type_is_named(checkpoint, tmp_path, key, value, message):
    content = torch.load(checkpoint)
    content['meta'][key] = value
    torch.save(content, tmp_path / 'spoiled.pth')
    with pytest.raises(InputError, match=message) as caught:
        export(str(tmp_path / 'spoiled.pth'), str(tmp_path / 'out.pth'), **PROVENANCE)
    assert 'spoiled.pth' in str(caught.value) and not (tmp_path / 'out.pth').exists()
