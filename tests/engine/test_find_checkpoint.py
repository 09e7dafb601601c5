"""Which checkpoint a work dir stands for: the best one, or the last of a run that picks none."""
import pytest
import torch

from bafenet.engine.checkpoints import find_checkpoint
from bafenet.errors import InputError

PICKS = "default_hooks = dict(checkpoint=dict(save_best='toy/a'))\nval_dataloader = dict(batch_size=1)\n"
CONFIGS = {
    'none picked': PICKS.replace("'toy/a'", 'None'),
    'no validation': PICKS.replace('dict(batch_size=1)', 'None'),
    'unsaid': 'val_dataloader = dict(batch_size=1)\n',
}


def write_run(folder, config):
    for epoch in (1, 2):
        meta = {} if config is None else dict(cfg=config)
        torch.save(dict(meta=meta, state_dict={}), folder / f'epoch_{epoch}.pth')
    # Of the place where it was trained; the folder was moved since.
    (folder / 'last_checkpoint').write_text('/elsewhere/run/epoch_2.pth')


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_last_one_of_a_run_that_picks_none_is_said(tmp_path, capsys, kind):
    write_run(tmp_path, CONFIGS[kind])
    assert find_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_2.pth')
    printed = capsys.readouterr()
    assert printed.err == f'{tmp_path}: this run picks no best checkpoint; its last one is taken, epoch_2.pth\n'
    assert not printed.out


@pytest.mark.parametrize('config', [PICKS, None])
def test_a_run_that_picks_one_and_has_none_yet_is_an_error(tmp_path, config):
    write_run(tmp_path, config)
    with pytest.raises(InputError, match=r'expected one best_\*.pth in the folder and there is none'):
        find_checkpoint(str(tmp_path))


def test_the_best_counts_before_the_last(tmp_path, capsys):
    write_run(tmp_path, CONFIGS['none picked'])
    (tmp_path / 'best_toy_a_epoch_1.pth').write_bytes(b'')
    assert find_checkpoint(str(tmp_path)) == str(tmp_path / 'best_toy_a_epoch_1.pth')
    assert not capsys.readouterr().err
    (tmp_path / 'best_toy_b_epoch_1.pth').write_bytes(b'')
    with pytest.raises(InputError, match='there are 2'):
        find_checkpoint(str(tmp_path))


def test_a_note_of_what_is_not_there_is_an_error(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_9.pth')
    with pytest.raises(InputError, match='there is none; name the checkpoint file'):
        find_checkpoint(str(tmp_path))
