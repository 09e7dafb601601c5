"""Files are whole or absent, leftovers of killed processes go, outputs are checked, a folder has one owner."""
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from bafenet import fileio
from bafenet.errors import InputError, printable


def hidden(folder: Path) -> list:
    return [path.name for path in folder.iterdir() if path.name.startswith('.') and path.name != fileio.LOCK_FILE]


def in_a_process(function, *args, kill: bool = False) -> multiprocessing.Process:
    """Run a function in a child; with ``kill``, wait for its file ``ready`` and kill it."""
    process = multiprocessing.get_context('fork').Process(target=function, args=args)
    process.start()
    if kill:
        wait_for(args[0] / 'ready')
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
    return process


def wait_for(file: Path) -> None:
    end = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def write_and_wait(folder: Path, name: str) -> None:
    with fileio.atomic_path(folder / name) as temporary:
        temporary.write_text('half')
        (folder / 'ready').touch()
        time.sleep(60)


def build_and_wait(folder: Path, name: str) -> None:
    with fileio.temporary_folder(folder / name) as temporary:
        (temporary / 'part').write_text('half')
        (folder / 'ready').touch()
        time.sleep(60)


@pytest.mark.parametrize('umask', [0o022, 0o077])
def test_a_file_has_the_mode_that_open_gives(tmp_path, umask):
    before = os.umask(umask)
    try:
        fileio.write_text(tmp_path / 'ours.txt', '')
        (tmp_path / 'open.txt').touch()
    finally:
        os.umask(before)
    assert (tmp_path / 'ours.txt').stat().st_mode == (tmp_path / 'open.txt').stat().st_mode


@pytest.mark.parametrize('work', [write_and_wait, build_and_wait])
def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path, work):
    in_a_process(work, tmp_path, 'result.txt', kill=True)
    assert len(hidden(tmp_path)) == 1
    if work is write_and_wait:
        fileio.write_text(tmp_path / 'result.txt', 'whole')
        assert (tmp_path / 'result.txt').read_text() == 'whole'
    else:
        with fileio.temporary_folder(tmp_path / 'result.txt') as folder:
            assert hidden(tmp_path) == [folder.name]
    assert not hidden(tmp_path)


@pytest.mark.parametrize('work', [write_and_wait, build_and_wait])
def test_what_another_process_is_writing_stays(tmp_path, work):
    process = in_a_process(work, tmp_path, 'result.txt')
    try:
        wait_for(tmp_path / 'ready')
        fileio.write_text(tmp_path / 'result.txt', 'ours')
        fileio.remove_leftovers(tmp_path)
        assert len(hidden(tmp_path)) == 1
    finally:
        process.kill()
        process.join(10)
    fileio.remove_leftovers(tmp_path)
    assert not hidden(tmp_path)


def test_leftovers_are_known_by_their_name_alone(tmp_path):
    others = ['.hidden', '.result-1.txt', 'result-bafenet-1.txt', '.git']
    for name in others:
        (tmp_path / name).write_text('of the user')
    fileio.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


def test_a_failed_write_leaves_nothing(tmp_path):
    fileio.write_text(tmp_path / 'a.txt', 'old')
    with pytest.raises(RuntimeError), fileio.atomic_path(tmp_path / 'a.txt') as temporary:
        temporary.write_text('new')
        raise RuntimeError
    assert (tmp_path / 'a.txt').read_text() == 'old' and not hidden(tmp_path)


def test_an_error_of_the_system_names_the_file_that_was_meant(tmp_path):
    with pytest.raises(OSError) as caught, fileio.atomic_path(tmp_path / 'a.txt'):
        raise OSError(28, 'No space left on device')
    assert caught.value.filename == str(tmp_path / 'a.txt')


def test_a_link_is_replaced_and_not_followed(tmp_path):
    """A stranger's work dir may hold one to any file, or to a device."""
    (tmp_path / 'thesis.txt').write_text('years of work')
    os.mkfifo(tmp_path / 'pipe')
    for target in ('thesis.txt', 'pipe', 'absent'):
        (tmp_path / 'link.txt').unlink(missing_ok=True)
        (tmp_path / 'link.txt').symlink_to(tmp_path / target)
        fileio.write_text(tmp_path / 'link.txt', 'text')
        assert not (tmp_path / 'link.txt').is_symlink() and (tmp_path / 'link.txt').read_text() == 'text'
    assert (tmp_path / 'thesis.txt').read_text() == 'years of work' and (tmp_path / 'pipe').is_fifo()


def test_what_is_no_regular_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'folder').mkdir()
    for name in ('pipe', 'folder'):
        with pytest.raises(OSError, match='no regular file'):
            fileio.write_text(tmp_path / name, 'text')
    assert (tmp_path / 'pipe').is_fifo() and (tmp_path / 'folder').is_dir() and not hidden(tmp_path)


@pytest.fixture
def places(tmp_path) -> dict:
    (tmp_path / 'file').write_text('text')
    (tmp_path / 'folder').mkdir()
    os.mkfifo(tmp_path / 'pipe')
    return {'folder': tmp_path / 'folder', 'file': tmp_path / 'file', 'below a file': tmp_path / 'file' / 'out.json',
            'device': Path('/dev/full'), 'pipe': tmp_path / 'pipe', 'read-only': Path('/proc/bafenet/out.json'),
            'deep below a file': tmp_path / 'file' / 'a' / 'b' / 'out.json'}


@pytest.mark.parametrize(('place', 'reason'), [
    ('folder', 'is a folder'), ('below a file', 'is a file'), ('deep below a file', 'is a file'),
    ('device', 'no regular file'), ('pipe', 'no regular file'), ('read-only', 'cannot be written')])
def test_a_file_that_could_not_be_written_is_refused_beforehand(places, place, reason):
    with pytest.raises(InputError, match=reason) as caught:
        fileio.require_writable_file(places[place], '--out')
    assert str(caught.value).startswith(f'--out {places[place]}: ') and '\n' not in str(caught.value)


@pytest.mark.parametrize('place', ['file', 'below a file', 'deep below a file', 'device', 'read-only'])
def test_a_folder_that_could_not_be_written_is_refused_beforehand(places, place):
    with pytest.raises(InputError, match='--work-dir'):
        fileio.require_writable_folder(places[place], '--work-dir')


def test_places_that_can_be_written_pass_and_stay_as_they_are(tmp_path):
    for path in (tmp_path / 'new.json', tmp_path / 'a' / 'b' / 'new.json', None, ''):
        fileio.require_writable_file(path, '--out')
    fileio.require_writable_folder(tmp_path / 'a' / 'b')
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_seen_beforehand(tmp_path, monkeypatch):
    full = os.open('/dev/full', os.O_WRONLY)
    monkeypatch.setattr(fileio.tempfile, 'TemporaryFile', lambda **kwargs: os.fdopen(full, 'wb', buffering=0))
    with pytest.raises(InputError, match='No space left'):
        fileio.require_writable_file(tmp_path / 'a.json', '--out')


def own_and_wait(folder: Path) -> None:
    with fileio.owned(folder):
        (folder / 'ready').touch()
        time.sleep(60)


def test_a_folder_has_one_owner_and_its_lock_ends_with_it(tmp_path):
    process = in_a_process(own_and_wait, tmp_path)
    wait_for(tmp_path / 'ready')
    with pytest.raises(InputError, match='another process is writing to this folder'), \
            fileio.owned(tmp_path, timeout=0.2):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.join(10)
    (tmp_path / '.epoch_1-bafenet-x.pth').write_text('half')
    with fileio.owned(tmp_path, timeout=0.2):
        assert not hidden(tmp_path)


def test_control_characters_are_spelled_out():
    assert printable('a\x1b[31mred\n\u202eend é 天') == 'a\\x1b[31mred\\n\\u202eend é 天'
    assert printable(os.fsdecode(b'\xff')) == '\\udcff'


@pytest.mark.parametrize('kind', ['folder', 'link'])
def test_a_lock_that_is_none_is_refused_and_stays(tmp_path, kind):
    lock = tmp_path / fileio.LOCK_FILE
    lock.mkdir() if kind == 'folder' else lock.symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(InputError, match='.lock: cannot be locked .*remove what stands there'), fileio.owned(tmp_path):
        pass
    assert os.path.lexists(lock) and not (tmp_path / 'elsewhere').exists()


def test_a_folder_behind_a_link_that_leads_nowhere_yet_is_created(tmp_path):
    (tmp_path / 'link').symlink_to(tmp_path / 'disk' / 'runs')
    with fileio.owned(tmp_path / 'link'):
        assert (tmp_path / 'disk' / 'runs').is_dir()
