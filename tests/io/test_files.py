"""Files are whole or absent."""

import errno
import fcntl
import os
import re
import stat
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import filelock
import pytest

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.files import atomic_folder, atomic_write, create_exclusively, is_temporary, set_aside, write_text
from audiometamer.io.locks import describe_holder, exclusive_folder, file_lock
from audiometamer.io.paths import real_path


def test_a_file_appears_when_its_block_ends_well(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with atomic_write(path) as temporary:
        temporary.write_text("done")
        assert not path.exists()
    assert path.read_text() == "done"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_block_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as temporary:  # noqa: PT012 (the block is what is tested)
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
    path = tmp_path / "file.txt"
    with pytest.raises(AudioMetamerError, match=r"file.txt: No space left on device"), atomic_write(path) as temporary:  # noqa: PT012 (as above)
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_is_being_written_is_reported_by_its_name(tmp_path):
    with atomic_write(tmp_path / ".odd name") as temporary:
        assert is_temporary(temporary.name)
        temporary.write_text("")
    assert not is_temporary(".odd name")
    assert not is_temporary("01234567-x")


def test_a_folder_makes_room_for_a_new_one_that_is_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with atomic_folder(out) as folder:
        (folder / "old").write_text("old")
    with pytest.raises(AudioMetamerError, match=r"could not write .*out: "), atomic_folder(out) as folder:
        (folder / "new").write_text("new")
    with pytest.raises(ValueError, match="half"), atomic_folder(out, replace=True):
        raise ValueError("half")
    real = type(out).replace

    def refusing(path, target):
        if (path / "new").exists():
            raise OSError(errno.EACCES, "Permission denied")
        return real(path, target)

    with monkeypatch.context() as patch, pytest.raises(AudioMetamerError, match="Permission denied"):  # noqa: PT012
        patch.setattr(type(out), "replace", refusing)
        with atomic_folder(out, replace=True) as folder:
            (folder / "new").write_text("new")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/old"]
    (tmp_path / "link").symlink_to(out)
    with atomic_folder(tmp_path / "link", replace=True) as folder:
        (folder / "new").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "out"]
    assert [path.name for path in out.iterdir()] == ["new"]


def test_who_holds_a_lock_is_waited_for(tmp_path):
    seen = []

    def hold(name):
        with file_lock(tmp_path / ".lock"):
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
        with file_lock(tmp_path / "file" / ".lock"):
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
            create_exclusively(tmp_path / "file", f"{k}".encode())
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
    held, refused = exclusive_folder(tmp_path / "out"), pytest.raises(AudioMetamerError, match="another run is writing into")
    with held, refused, exclusive_folder(tmp_path / "out"):
        pass
    with exclusive_folder(tmp_path / "out"), file_lock(tmp_path / "another"):
        pass
    assert not recwarn.list


@pytest.fixture
def without_flock(monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr("audiometamer.io.locks._PATIENCE", 0.1)


@pytest.mark.parametrize("content", ["", "4194303\n{host}\n"])
def test_without_flock_a_lock_that_nobody_holds_any_more_is_taken_over(tmp_path, without_flock, content):
    """Left empty where there was flock, or by a process of this host that was killed; by numbers no process has."""
    with file_lock(tmp_path / "another"):
        host = (tmp_path / "another").read_text().split("\n")[1]
    (tmp_path / ".lock").write_text(content.format(host=host))
    with file_lock(tmp_path / ".lock"):
        assert (tmp_path / ".lock").read_text().startswith(f"{os.getpid()}\n")


def when_asked_for(monkeypatch, release):
    """Release a lock once it is said who holds it."""

    def holder(lock):
        reported = describe_holder(lock)
        release()
        return reported

    monkeypatch.setattr("audiometamer.io.locks.describe_holder", holder)


def test_without_flock_it_is_said_who_is_waited_for(tmp_path, without_flock, monkeypatch):
    lock = tmp_path / ".lock"
    lock.write_text("4242\nnode17?pidns-f00\n")
    when_asked_for(monkeypatch, lock.unlink)
    reported = f"^waiting for process 4242 on node17, which holds {lock}; if it has ended, delete that file$"
    with pytest.warns(AudioMetamerWarning, match=reported), file_lock(lock):
        pass
    lock.write_text("4242\nnode17\n")
    reported = f"another run is writing into {tmp_path}; .* choose another --out: process 4242 on node17, which holds {lock}; if"
    with pytest.raises(AudioMetamerError, match=reported), exclusive_folder(tmp_path):
        pass


def test_who_waits_for_a_lock_for_long_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.io.locks._PATIENCE", 0.05)
    held, waited_for = threading.Event(), threading.Event()

    def hold():
        with file_lock(tmp_path / ".lock"):
            held.set()
            waited_for.wait(60)

    when_asked_for(monkeypatch, waited_for.set)
    threading.Thread(target=hold).start()
    held.wait()
    with (
        pytest.warns(AudioMetamerWarning, match=f"^waiting for another process, which holds {tmp_path}/.lock$"),
        file_lock(tmp_path / ".lock"),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_no_lock_is_to_be_had_one_line_says_so(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for lock in (exclusive_folder(tmp_path), file_lock(tmp_path / ".lock"), file_lock(tmp_path / ".lock", timeout=1)):
        with (
            pytest.raises(AudioMetamerError, match=rf"the file system of {tmp_path} has no locks \({os.strerror(number)};"),
            lock,
        ):
            pass


def test_a_run_that_begins_as_another_ends_is_the_only_one(tmp_path, monkeypatch):
    release, second = filelock.FileLock.release, exclusive_folder(tmp_path / "out")

    def release_and_let_the_second_in(lock, force=False):
        release(lock, force)
        monkeypatch.undo()
        second.__enter__()

    with exclusive_folder(tmp_path / "out"):
        monkeypatch.setattr(filelock.FileLock, "release", release_and_let_the_second_in)
    with pytest.raises(AudioMetamerError, match="another run is writing into"), exclusive_folder(tmp_path / "out"):
        pass
    second.__exit__(None, None, None)
    with exclusive_folder(tmp_path / "out"):
        pass


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """What was put on the disk, and what was renamed, in order, by name."""
    done = []
    sync, link, replace = os.fsync, os.link, os.replace

    def name(path):
        return re.sub(r"^\.[0-9a-f]{8}-", "new ", Path(path).name)

    def noted_sync(opened):
        found = [
            path for path in (tmp_path, *tmp_path.rglob("*")) if path.exists() and os.path.samestat(path.stat(), os.fstat(opened))
        ]
        done.append(f"sync {name(found[0])}")
        sync(opened)

    def noted(how, do):
        def moved(source, target, **options):
            done.append(f"{how} {name(target)}")
            do(source, target, **options)

        return moved

    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(os, "replace", noted("rename", replace))
    monkeypatch.setattr(os, "link", noted("link", link))
    return done


def test_a_file_is_on_the_disk_before_its_rename_and_the_rename_after_it(tmp_path, synced):
    write_text(tmp_path / "a" / "b" / "file", "x")
    assert synced == [f"sync {tmp_path.name}", "sync a", "sync new file", "rename file", "sync b"]
    synced.clear()
    create_exclusively(tmp_path / "a" / "claim", b"x")
    assert synced == ["sync new claim", "link claim", "sync a"]


def test_a_folder_is_on_the_disk_before_its_rename_once(tmp_path, synced):
    with atomic_folder(tmp_path / "out") as folder:
        for k in range(3):
            write_text(folder / "of" / f"{k}", "x")
        (folder / "link").symlink_to("nowhere")
    renames, rest = [line for line in synced if "rename" in line], [line for line in synced if "rename" not in line]
    assert renames[-1] == "rename out"
    assert synced[-1] == f"sync {tmp_path.name}"
    first, *inside, last = rest
    assert first == last == f"sync {tmp_path.name}"  # as the new folder is made, and as it is renamed
    assert sorted(inside[:3]) == ["sync 0", "sync 1", "sync 2"]
    assert sorted(inside[3:]) == ["sync new out", "sync of"]


@pytest.mark.parametrize(("number", "tolerated"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_only_a_file_system_without_fsync_of_folders_is_tolerated(tmp_path, monkeypatch, number, tolerated):
    real = os.fsync

    def refusing(opened):
        if stat.S_ISDIR(os.fstat(opened).st_mode):
            raise OSError(number, os.strerror(number))
        real(opened)

    monkeypatch.setattr(os, "fsync", refusing)
    outcome = nullcontext() if tolerated else pytest.raises(AudioMetamerError, match="file: Input/output error")
    with outcome:
        write_text(tmp_path / "file", "x")
    with (
        nullcontext() if tolerated else pytest.raises(AudioMetamerError, match="out: Input/output error"),
        atomic_folder(tmp_path / "out"),
    ):
        pass
    with nullcontext() if tolerated else pytest.raises(OSError, match="Input/output error"):
        create_exclusively(tmp_path / "claim", b"x")


def test_a_content_that_does_not_reach_the_disk_leaves_the_old_file(tmp_path, monkeypatch):
    write_text(tmp_path / "file", "old")

    def full(opened):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AudioMetamerError, match="file: No space left on device"):
        write_text(tmp_path / "file", "new")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("file", "old")]


def test_what_is_broken_is_set_aside_if_it_holds_anything(tmp_path):
    for content in (b"one", b"two", b"", bytes(5)):
        (tmp_path / "file").write_bytes(content)
        set_aside(tmp_path / "file")
    set_aside(tmp_path / "file")  # which is gone
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("empty", "full", "link"):
        set_aside(tmp_path / name)
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["file.broken", "file.broken-2", "full.broken", "link.broken"]
    assert (tmp_path / "file.broken-2").read_bytes() == b"two"


def test_links_in_a_circle_stay_and_others_are_followed(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "circle").symlink_to("circle")
    assert real_path(tmp_path / "link" / "file") == real_path(tmp_path) / "folder" / "file"
    assert real_path(tmp_path / "circle").name == "circle"
    with pytest.raises(AudioMetamerError, match=r"could not write .*circle"), atomic_folder(tmp_path / "circle"):
        pass
