"""Notes that are silenced, and that others are not."""
import warnings

import torch
from mmdet.models.task_modules import MlvlPointGenerator

from bafenet.compat import notices

# isort: split
from mmcv.ops import MaskedConv2d


def test_mmdets_meshgrid_is_silent_and_other_warnings_are_heard():
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        notices.install()
        grid = MlvlPointGenerator([8]).grid_priors([(2, 3)], device='cpu')[0]
        torch.meshgrid(torch.arange(2), torch.arange(3))
        warnings.warn('torch.meshgrid is slow', UserWarning, stacklevel=1)
    assert grid.tolist() == [[8 * (x + 0.5), 8 * (y + 0.5)] for y in range(2) for x in range(3)]
    assert [str(one.message) for one in heard] == ['torch.meshgrid is slow']


def test_mmcvs_addmm_is_silent():
    always = torch.is_warn_always_enabled()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter('always')
        torch.set_warn_always(True)
        try:
            for install in (lambda: None, notices.install):
                install()
                MaskedConv2d(1, 1, 1)(torch.ones(1, 1, 2, 2), torch.ones(1, 2, 2))
        finally:
            torch.set_warn_always(always)
    assert len([one for one in heard if 'addmm' in str(one.message)]) == 1


def test_what_the_fork_of_mmdet_prints_is_silent_and_other_lines_are_heard(tmp_path, monkeypatch, capsys):
    (tmp_path / 'prints_when_imported.py').write_text(f'print({notices._PRINTED!r})\nprint("Something else")\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(notices, '_PRINTS', 'prints_when_imported')
    notices.install()
    assert capsys.readouterr().out == 'Something else\n'
