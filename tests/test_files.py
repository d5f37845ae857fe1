"""Files are whole or absent."""

import errno
import fcntl
import os
import threading
import time

import filelock
import pytest

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.files import create, in_turn, is_temporary, only_writer, whole_file, whole_folder


def test_a_file_appears_when_its_block_ends_well(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with whole_file(path) as temporary:
        temporary.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    with pytest.raises(AudioMetamerError, match=r"file.txt: No space left on device"), whole_file(path) as temporary:  # noqa: PT012 (as above)
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_is_told_by_its_name(tmp_path):
    with whole_file(tmp_path / ".odd name") as temporary:
        assert is_temporary(temporary.name)
        temporary.write_text("")
    assert not is_temporary(".odd name")
    assert not is_temporary("01234567-x")


def test_a_folder_makes_room_for_a_new_one_that_is_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with whole_folder(out) as folder:
        (folder / "old").write_text("old")
    with pytest.raises(AudioMetamerError, match=r"could not write .*out: "), whole_folder(out) as folder:
        (folder / "new").write_text("new")
    with pytest.raises(ValueError, match="half"), whole_folder(out, replace=True):
        raise ValueError("half")
    real = type(out).replace

    def refusing(path, target):
        if (path / "new").exists():
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, target)

    with monkeypatch.context() as patch, pytest.raises(AudioMetamerError, match="Permission denied"):  # noqa: PT012
        patch.setattr(type(out), "replace", refusing)
        with whole_folder(out, replace=True) as folder:
            (folder / "new").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/old"]
    (tmp_path / "link").symlink_to(out)
    with whole_folder(tmp_path / "link", replace=True) as folder:
        (folder / "new").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]
    assert [path.name for path in out.iterdir()] == ["new"]


def test_who_holds_a_lock_is_waited_for(tmp_path):
    seen = []

    def hold(name):
        with in_turn(tmp_path / ".lock"):
            seen.append(f"{name} in")
            time.sleep(0.1)
            seen.append(f"{name} out")

    both = [threading.Thread(target=hold, args=(name,)) for name in "ab"]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert seen in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])
    with pytest.raises(AudioMetamerError, match=r"could not write .*file/\.lock: File exists"):  # noqa: PT012
        (tmp_path / "file").write_text("")
        with in_turn(tmp_path / "file" / ".lock"):
            pass


@pytest.mark.parametrize("number", [None, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_of_many_who_create_a_file_one_does(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    if number is not None:
        monkeypatch.setattr(os, "link", refuse)
    won, gate = [], threading.Barrier(6)

    def try_it(k):
        gate.wait()
        try:
            create(tmp_path / "file", f"{k}".encode())
        except FileExistsError:
            return
        won.append(f"{k}")

    threads = [threading.Thread(target=try_it, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(tmp_path / "file").read_text()] == won
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_flock_a_lock_is_a_file_that_only_one_can_create(tmp_path, monkeypatch, recwarn):
    """Lustre that is mounted without them, say."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    held, refused = only_writer(tmp_path / "out"), pytest.raises(AudioMetamerError, match="another run is writing into")
    with held, refused, only_writer(tmp_path / "out"):
        pass
    with only_writer(tmp_path / "out"), in_turn(tmp_path / "another"):
        pass
    assert not recwarn.list


@pytest.fixture
def without_flock(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("audiometamer.files._PATIENCE", 0.1)


@pytest.mark.parametrize("content", ["", "4194303\n{host}\n"])
def test_without_flock_a_lock_that_nobody_holds_any_more_is_taken_over(tmp_path, without_flock, content):
    """Left empty where there was flock, or by a process of this host that was killed; by numbers no process has."""
    with in_turn(tmp_path / "another"):
        host = (tmp_path / "another").read_text().split("\n")[1]
    (tmp_path / ".lock").write_text(content.format(host=host))
    began = time.monotonic()
    with in_turn(tmp_path / ".lock"):
        assert time.monotonic() - began < 5
        assert (tmp_path / ".lock").read_text().startswith(f"{os.getpid()}\n")


def test_without_flock_it_is_said_who_is_waited_for(tmp_path, without_flock):
    lock = tmp_path / ".lock"
    lock.write_text("4242\nnode17?pidns-f00\n")
    threading.Timer(0.5, lock.unlink).start()
    told = f"^waiting for process 4242 on node17, which holds {lock}; if it has ended, delete that file$"
    with pytest.warns(AudioMetamerWarning, match=told), in_turn(lock):
        pass
    lock.write_text("4242\nnode17\n")
    told = f"another run is writing into {tmp_path}; .* choose another --out: process 4242 on node17, which holds {lock}; if"
    with pytest.raises(AudioMetamerError, match=told), only_writer(tmp_path):
        pass


def test_who_waits_for_a_lock_for_long_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.files._PATIENCE", 0.05)
    held = threading.Event()

    def hold():
        with in_turn(tmp_path / ".lock"):
            held.set()
            time.sleep(0.3)

    threading.Thread(target=hold).start()
    held.wait()
    with (
        pytest.warns(AudioMetamerWarning, match=f"^waiting for another process, which holds {tmp_path}/.lock$"),
        in_turn(tmp_path / ".lock"),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_no_lock_is_to_be_had_one_line_says_so(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for lock in (only_writer(tmp_path), in_turn(tmp_path / ".lock"), in_turn(tmp_path / ".lock", timeout=1)):
        with (
            pytest.raises(AudioMetamerError, match=rf"the file system of {tmp_path} has no locks \({os.strerror(number)};"),
            lock,
        ):
            pass


def test_a_run_that_begins_as_another_ends_is_the_only_one(tmp_path, monkeypatch):
    release, second = filelock.FileLock.release, only_writer(tmp_path / "out")

    def release_and_let_the_second_in(lock, force=False):
        release(lock, force)
        monkeypatch.undo()
        second.__enter__()

    with only_writer(tmp_path / "out"):
        monkeypatch.setattr(filelock.FileLock, "release", release_and_let_the_second_in)
    with pytest.raises(AudioMetamerError, match="another run is writing into"), only_writer(tmp_path / "out"):
        pass
    second.__exit__(None, None, None)
    with only_writer(tmp_path / "out"):
        pass
