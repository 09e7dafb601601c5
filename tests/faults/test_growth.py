"""Thirty short epochs need no more memory and no more descriptors than five."""
import json
from statistics import median

import pytest
from runs import CONFIG, options, start

pytestmark = pytest.mark.faults
SCRIPT = """
import gc, json, os, sys
from mmengine.hooks import Hook
from bafenet.engine import train
config, work_dir, *options = sys.argv[1:]
found = []

class Measure(Hook):
    priority = 'LOWEST'

    def after_train_epoch(self, runner):
        gc.collect()
        pages = int(open('/proc/self/statm').read().split()[1])
        found.append([pages * os.sysconf('SC_PAGE_SIZE') / 2**20, len(os.listdir('/proc/self/fd'))])

build = train.build_runner
def with_measure(cfg):
    runner = build(cfg)
    runner.register_hook(Measure())
    return runner
train.build_runner = with_measure
train.train(config, work_dir=work_dir, cfg_options=options)
print('MEASURED', json.dumps(found))
"""


def test_memory_and_descriptors_are_flat(devkit, tmp_path):
    (tmp_path / 'measure.py').write_text(SCRIPT)
    process = start(tmp_path / 'measure.py', CONFIG, tmp_path / 'run',
                    *options(devkit, **{'train_cfg.max_epochs': 30, 'train_dataloader.num_workers': 1}))
    out, error = process.communicate(timeout=400)
    assert process.returncode == 0, error[-3000:]
    memory, descriptors = zip(*json.loads(out.rsplit('MEASURED', 1)[1]), strict=True)
    assert len(memory) == 30
    # What grows stays; one epoch may hold a buffer more at the moment of measuring.
    assert median(memory[20:]) < median(memory[5:15]) + 20, memory
    assert max(descriptors[10:]) <= max(descriptors[:10]) + 2, descriptors
