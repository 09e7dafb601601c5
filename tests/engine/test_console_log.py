"""What stands on the console of a run, and what its log file has in full."""
import pytest
from toy_runs import toy_runner, validation

DUMPS = ('System environment:', 'Config:', 'Hooks will be executed', 'before_train_epoch', 'FileClient')


@pytest.mark.parametrize('does', ['train', 'test'])
def test_dumps_stand_in_the_log_file_alone(tmp_path, capfd, does):
    runner = toy_runner(tmp_path, epochs=1, **validation())
    getattr(runner, does)()
    runner.logger.info('Config: a line of a user\nof two lines')
    runner.logger.warning('a warning')
    said, log = capfd.readouterr().out, next(tmp_path.glob('*/*.log')).read_text()
    assert all(text in log for text in DUMPS[:4])
    assert not any(text in said.replace('Config: a line', '') for text in DUMPS)
    assert 'Config: a line of a user' in said and 'a warning' in said and 'Epoch(' in said
    assert f'config and hooks stand in the log file, {next(tmp_path.glob("*/*.log"))}\n' in said


def test_without_the_level_nothing_is_said(tmp_path, capfd):
    toy_runner(tmp_path, log_level='ERROR').test()
    assert not capfd.readouterr().out
