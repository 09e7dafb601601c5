"""The benchmark measures what it says; how fast anything is, is not tested here."""
import os
import signal
import threading
import time

import numpy as np
import pytest
from conftest import ROOT

from bafenet.analysis.benchmark import benchmark_augment, print_results, run_apart, summary, time_each
from bafenet.errors import InputError


def test_summary_is_median_and_95th_percentile():
    values = [0.001 * i for i in range(1, 101)]
    assert summary(values) == pytest.approx(dict(median_ms=50.5, p95_ms=95.05, runs=100))


def test_calls_take_turns_and_warm_ups_do_not_count():
    order = []
    times = time_each({'a': lambda run: order.append(f'a{run}'), 'b': lambda run: order.append(f'b{run}')}, 2, warmup=1)
    assert order == ['a0', 'b0', 'a0', 'b0', 'a1', 'b1']
    assert [len(seconds) for seconds in times.values()] == [2, 2]


@pytest.fixture
def config(tmp_path):
    file = tmp_path / 'config.py'
    file.write_text(f"""
_base_ = {str(ROOT / 'configs/demo/bafenet_r18_demo_bagcp.py')!r}
pipeline = _base_.bag_cp_pipeline
pipeline[2].update(library={str(tmp_path / 'library.npz')!r})
train_dataloader = dict(dataset=dict(pipeline=pipeline))
""")
    return str(file)


def test_augment_reports_every_measurement(config, devkit, capsys):
    results = benchmark_augment(config, str(devkit), images=4, cache_mb=8)
    assert results['BAG-CP on 512x512, all sky']['runs'] == 4
    # Pasting and flipping come on top of decoding and resizing.
    assert results['training']['median_ms'] > 0.5 * results['decode and resize']['median_ms']
    assert np.isfinite(results['training / decode and resize'])
    assert len(results['worker memory over 3 passes, MiB']) == 3 and results['library, MiB'] < 8
    print_results(results)
    assert 'decode and resize' in capsys.readouterr().out


def test_a_pipeline_without_bag_cp_is_refused(devkit):
    with pytest.raises(InputError, match='no BAGCopyPaste'):
        benchmark_augment(str(ROOT / 'configs/demo/bafenet_r18_demo.py'), str(devkit), images=2, cache_mb=1)


def fail():
    raise InputError('no such image')


@pytest.mark.parametrize('method', ['fork', 'spawn'])
@pytest.mark.faults
def test_a_process_apart_gives_its_value_or_its_error(method):
    assert run_apart(method, divmod, 7, 4) == (1, 3)
    with pytest.raises(ZeroDivisionError):
        run_apart(method, divmod, 7, 0)


def test_a_process_that_is_killed_is_not_waited_for():
    with pytest.raises(InputError, match='no such image'):
        run_apart('fork', fail)
    with pytest.raises(InputError, match='was ended from outside'):
        run_apart('fork', os._exit, 9)


def test_an_interrupt_ends_the_process_apart():
    start = time.monotonic()
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        run_apart('fork', time.sleep, 60)
    assert time.monotonic() - start < 20
