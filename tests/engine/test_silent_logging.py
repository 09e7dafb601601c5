"""What mmengine logs and optimizers print stays off the standard output for a while."""
import pytest
from mmengine.logging import MMLogger

from bafenet.engine.silent_logging import quiet


def test_the_standard_output_is_kept_clear_and_comes_back_after_an_error(capfd):
    logger = MMLogger.get_current_instance()
    level = logger.level
    with pytest.raises(ZeroDivisionError), quiet():
        logger.warning('a frozen weight')
        print('an optimizer')
        raise ZeroDivisionError
    print('a table')
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ('a table\n', 'an optimizer\n')
    assert logger.level == level
