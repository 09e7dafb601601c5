"""A progress bar is shown on a terminal alone."""
import sys

import pytest
from toy_runs import toy_runner, validation


@pytest.mark.parametrize(('terminal', 'disable', 'shown'), [(True, False, True), (True, True, False),
                                                            (False, False, False)])
def test_the_progress_bar_counts_images_on_a_terminal_alone(tmp_path, monkeypatch, capfd, terminal, disable, shown):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: terminal, raising=False)
    runner = toy_runner(tmp_path, custom_hooks=[{'type': 'TestProgressHook', 'disable': disable}])
    handlers = list(runner.logger.handlers)
    runner.test()
    error = capfd.readouterr().err
    assert ('testing' in error) == shown
    assert ('0/6 [' in error) == shown
    assert runner.logger.handlers == handlers


def test_the_progress_bar_is_shown_while_validating(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
    toy_runner(tmp_path, epochs=1, custom_hooks=[{'type': 'TestProgressHook'}], **validation()).train()
    assert 'validating' in capfd.readouterr().err
