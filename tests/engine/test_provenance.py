"""What a run notes of itself."""
import json
import subprocess
from datetime import datetime, timezone

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from bafenet.engine.provenance import Provenance, commit


def test_a_record_says_what_repeats_the_run(tmp_path):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    cfg = Config(dict(randomness=dict(seed=7), model=dict(type='Net')))
    Provenance(cfg, 'configs/a.py').write(tmp_path, finished=False)
    record = json.loads((tmp_path / 'run.json').read_text())
    assert record['config'] == 'configs/a.py' and record['seed'] == 7 and record['finished'] is False
    assert "type='Net'" in record['resolved_config'] and record['environment']['torch'] == torch.__version__
    assert before <= datetime.fromisoformat(record['started']) <= datetime.now(timezone.utc)
    assert 0 <= record['seconds'] < 60


@pytest.mark.parametrize('seed', [None, 'one', True])
def test_a_seed_that_is_none_is_not_recorded(seed):
    assert Provenance(Config(dict(randomness=dict(seed=seed))), 'a.py').record()['seed'] is None
    assert Provenance(Config({}), 'a.py').record()['seed'] is None


def test_the_commit_is_that_of_the_checkout():
    asked = subprocess.run(['git', '-C', str(ROOT), 'rev-parse', 'HEAD'], capture_output=True, text=True)
    if asked.returncode:
        pytest.skip('not a git checkout')
    assert str(commit()).removesuffix('-dirty') == asked.stdout.strip()
