"""A config without the loader that a tool reads, as one that only tests or only trains, is answered in one line."""
import pytest
from conftest import ROOT, load_tool

LOADERS = dict(train=('train_dataloader', 'train_cfg', 'optim_wrapper', 'param_scheduler'),
               val=('val_dataloader', 'val_cfg', 'val_evaluator'),
               test=('test_dataloader', 'test_cfg', 'test_evaluator'))
CALLS = [
    ('analysis/assignment.py', ['CONFIG', '--split-from', 'test'], 'test', 'test_dataloader.dataset'),
    ('analysis/assignment.py', ['CONFIG', '--split-from', 'val'], 'val', 'val_dataloader.dataset'),
    ('analysis/exchange.py', ['CONFIG', 'absent.pth', '--split-from', 'val'], 'val', 'val_dataloader.dataset'),
    ('analysis/box_edges.py', ['CONFIG'], 'train', 'train_dataloader.dataset'),
    ('benchmark.py', ['augment', '--config', 'CONFIG'], 'train', 'train_dataloader.dataset'),
    ('benchmark.py', ['predict', 'CONFIG'], 'test', 'test_dataloader.dataset'),
    ('dataset/browse.py', ['CONFIG'], 'train', 'train_dataloader.dataset'),
]


@pytest.mark.parametrize(('tool', 'argv', 'loader', 'setting'), CALLS)
def test_an_absent_loader_is_one_line(tmp_path, capfd, monkeypatch, tool, argv, loader, setting):
    config = tmp_path / 'partial.py'
    config.write_text(f"_base_ = '{ROOT}/configs/demo/bafenet_r18_demo.py'\n"
                      + ''.join(f'{name} = None\n' for name in LOADERS[loader]), encoding='utf-8')
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        load_tool(tool).main([str(config) if item == 'CONFIG' else item for item in argv])
    assert caught.value.code == 2
    assert capfd.readouterr().err == (f'error: {config}: the config has no {setting}, which is needed here; add it, or '
                                      'start from one of configs/ by _base_\n')
    assert [path.name for path in tmp_path.iterdir()] == ['partial.py']
