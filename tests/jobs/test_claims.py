"""Claims: one holder, and a new one only when the old is gone."""

import errno
import json
import os
import platform
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from processes import finished, started

from audiometamer.errors import AudioMetamerWarning
from audiometamer.jobs.claims import Claims, is_running, remove_dead_claims


def write(folder, key, *, host, pid):
    folder.mkdir(exist_ok=True)
    (folder / key).write_text(json.dumps({"host": host, "pid": pid, "since": 0.0, "token": "of another"}))


def without_links(*_, **__):
    raise OSError(errno.EPERM, "Operation not permitted")  # as exFAT answers


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_claim_has_one_holder_until_it_is_given_back(tmp_path):
    claims = Claims(tmp_path / "claims")
    assert claims.take("a")
    assert is_running(tmp_path / "claims" / "a")
    assert not claims.take("a")
    claims.release("a")
    assert not list((tmp_path / "claims").iterdir())


def interrupted_before(line, work):
    """Do the work, with Ctrl-C before a line that claims execute, as they lie in time; whether that line was reached."""
    left = line

    def of_claims(frame, event, _):
        nonlocal left
        if event == "line":
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            left -= 1
        return of_claims

    def trace(frame, *_):
        return of_claims if frame.f_code.co_qualname.startswith("Claims.") else None

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_interrupted_at_any_moment_it_gives_its_claims_back(tmp_path):
    def take_and_release():
        claims.take("a")
        claims.take("b")
        claims.release("a")

    for line in range(1000):
        claims = Claims(tmp_path / str(line))
        with claims.heartbeat():
            reached = interrupted_before(line, take_and_release)
        assert not list(claims.folder.glob("[!.]*")), line
        if not reached:
            break
    assert 20 < line < 999


def test_what_another_holds_is_not_given_back(tmp_path):
    claims = Claims(tmp_path)
    with claims.heartbeat():
        write(tmp_path, "a", host="elsewhere", pid=1)
        assert not claims.take("a")
        claims.release("a")
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["a"]


def test_a_claim_of_a_dead_process_is_taken_over(tmp_path):
    write(tmp_path, "a", host=platform.node(), pid=dead_process())
    assert not is_running(tmp_path / "a")
    claims = Claims(tmp_path)
    assert claims.take("a")
    assert json.loads((tmp_path / "a").read_text())["pid"] == os.getpid()


def test_a_claim_of_a_process_that_nobody_asks_after_is_taken_over(tmp_path):
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and its number is kept for us
    write(tmp_path, "a", host=platform.node(), pid=process.pid)
    assert Claims(tmp_path).take("a")
    process.wait()


def test_processes_of_one_origin_are_told_apart(tmp_path):
    """Forked after the import of everything, as `forkserver` does."""
    for _ in range(2):
        process = started(Claims(tmp_path).take, "a", output=tmp_path / "log")
        assert finished(process) == 1, "its exit status: True, the claim is taken"


def test_claims_of_the_dead_are_forgotten_and_those_of_the_living_stay(tmp_path):
    write(tmp_path, "a", host=platform.node(), pid=dead_process())
    assert remove_dead_claims(tmp_path)
    write(tmp_path, "b", host="elsewhere", pid=1)
    assert not remove_dead_claims(tmp_path)
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["b"]


def test_what_is_no_claim_is_left_where_it_is(tmp_path):
    (tmp_path / "claims" / "more").mkdir(parents=True)
    (tmp_path / "claims" / "sound.wav").write_bytes(b"RIFF")
    os.utime(tmp_path / "claims" / "sound.wav", (0, 0))
    assert remove_dead_claims(tmp_path / "claims")
    assert {path.name for path in (tmp_path / "claims").glob("[!.]*")} == {"more", "sound.wav"}


def test_a_claim_of_a_process_whose_number_is_now_ours_is_taken_over(tmp_path):
    write(tmp_path, "a", host=platform.node(), pid=os.getpid())
    assert Claims(tmp_path).take("a")


def test_a_claim_of_another_machine_is_taken_over_after_silence_by_our_stopwatch(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("audiometamer.jobs.claims.time", SimpleNamespace(monotonic=lambda: now, time=time.time))
    write(tmp_path, "a", host="elsewhere", pid=1)
    os.utime(tmp_path / "a", (0, 0))  # its clock is of no account
    claims = Claims(tmp_path, silence=0.2)
    assert not claims.take("a")
    assert claims.may_be_gone("a")
    now += 0.15
    os.utime(tmp_path / "a", (5, 5))  # a sign of life, by a clock that is wrong
    assert not claims.take("a")
    assert not claims.may_be_gone("a")
    now += 0.15
    assert not claims.take("a")
    now += 0.1
    assert claims.take("a")


def test_a_worker_whose_claim_was_taken_over_leaves_it_alone(tmp_path):
    claims = Claims(tmp_path)
    claims.take("a")
    write(tmp_path, "a", host="elsewhere", pid=1)
    claims.release("a")
    assert (tmp_path / "a").exists()


def test_claims_beat_while_their_worker_lives(tmp_path):
    claims = Claims(tmp_path, beat=0.01)
    with claims.heartbeat():
        claims.take("a")
        os.utime(tmp_path / "a", (0, 0))
        end = time.monotonic() + 10
        while (tmp_path / "a").stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not (tmp_path / "a").exists()


def test_without_links_claims_are_taken_and_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", without_links)
    first, second = Claims(tmp_path), Claims(tmp_path)
    with first.heartbeat():
        assert first.take("a")
        assert not second.take("a")
        assert json.loads((tmp_path / "a").read_text())["pid"] == os.getpid()
    assert second.take("a")
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["a"]


def test_a_claim_that_is_being_written_is_anothers_until_it_is_silent(tmp_path):
    """Without links it may be seen empty; its worker may have been killed just then."""
    (tmp_path / "a").touch()
    claims = Claims(tmp_path, silence=0.05)
    assert not claims.take("a")
    assert not remove_dead_claims(tmp_path)
    assert is_running(tmp_path / "a")
    time.sleep(0.1)
    assert claims.take("a")
    assert json.loads((tmp_path / "a").read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", [b"", bytes(8), b'{"host": "a', b"{}", b"\xff"])
def test_a_claim_that_cannot_be_read_is_soon_nobodys(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    claims = Claims(tmp_path, beat=0.02)
    assert not claims.take("a"), "it may be being written"
    while claims.wait(["a"]) and not claims.take("a"):
        pass
    assert claims.held.keys() == {"a"}
    os.utime(tmp_path / "a", (0, 0))
    (tmp_path / "b").write_bytes(content)
    assert not remove_dead_claims(tmp_path)
    os.utime(tmp_path / "b", (0, 0))
    claims.release("a")
    assert remove_dead_claims(tmp_path)
    assert not list(tmp_path.glob("[!.]*"))


def test_of_many_who_take_over_one_wins(tmp_path):
    pid = dead_process()
    for turn in range(10):
        write(tmp_path, f"k{turn}", host=platform.node(), pid=pid)
        everybody, won = [Claims(tmp_path) for _ in range(6)], []
        gate = threading.Barrier(6)

        def try_it(claims, key=f"k{turn}", won=won, gate=gate):
            gate.wait()
            if claims.take(key):
                won.append(claims)

        threads = [threading.Thread(target=try_it, args=(claims,)) for claims in everybody]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert json.loads((tmp_path / f"k{turn}").read_text())["pid"] == os.getpid()


def hold(folder, key, **changes):
    """A claim that this process holds but for some changes."""
    assert Claims(folder).take(key)
    change(folder / key, **changes)


def change(claim, **changes):
    claim.write_text(json.dumps(json.loads(claim.read_text()) | changes))


def as_seen_from_elsewhere(claim):
    change(claim, numbering="elsewhere")


@pytest.mark.parametrize("where", ["4026532000 of another boot", ""])
def test_a_number_that_counts_elsewhere_says_nothing_here(tmp_path, where):
    """Of a container with the name of this host, say: nobody has that number here, or another process."""
    hold(tmp_path, "a", pid=dead_process(), numbering=where)
    assert not Claims(tmp_path).take("a")
    assert not remove_dead_claims(tmp_path)
    hold(tmp_path, "b", numbering=where)
    assert not Claims(tmp_path).take("b")
    assert Claims(tmp_path, silence=-1).take("b"), "nobody has seen it alive"


def test_where_nothing_is_known_of_numbers_a_claim_is_not_taken_from_the_living(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.jobs.claims.pid_namespace", lambda: "")
    hold(tmp_path, "a", pid=dead_process())
    assert not Claims(tmp_path).take("a")


def test_a_number_that_came_again_is_another_process(tmp_path):
    hold(tmp_path, "a", began=1)
    assert not is_running(tmp_path / "a")
    assert Claims(tmp_path).take("a")


def test_two_of_one_process_do_not_take_from_each_other(tmp_path):
    first, second = Claims(tmp_path), Claims(tmp_path)
    assert first.take("a")
    assert not second.take("a")
    second.release("a")
    assert not first.take("a"), "it is held already"
    assert first.write("a", "item", lambda: None)


def test_who_was_suspended_writes_nothing_and_leaves_the_others(tmp_path):
    suspended, other, written = Claims(tmp_path, beat=0.001), Claims(tmp_path, silence=-1), []
    assert suspended.take("a")
    assert suspended.write("a", "items/a", lambda: written.append("suspended"))
    as_seen_from_elsewhere(tmp_path / "a")
    assert other.take("a")
    with suspended.heartbeat():
        os.utime(tmp_path / "a", (0, 0))
        time.sleep(0.02)
        assert (tmp_path / "a").stat().st_mtime == 0, "it gives no signs of life for another"
        with pytest.warns(AudioMetamerWarning, match="items/a was taken over by another worker while this one was suspended"):
            assert not suspended.write("a", "items/a", lambda: written.append("too late"))
        assert not suspended.write("a", "items/a", lambda: written.append("too late"))  # said once
    assert other.write("a", "items/a", lambda: written.append("other"))
    assert written == ["suspended", "other"]
    other.release("a")
    assert not other.write("a", "items/a", lambda: written.append("nobody's"))
    assert not list(tmp_path.glob("[!.]*"))


def test_while_something_is_written_no_claim_is_taken_over(tmp_path):
    """Nor if whoever writes it is suspended just then."""
    writer, other = Claims(tmp_path), Claims(tmp_path, beat=0.05, silence=-1)
    assert writer.take("a")
    as_seen_from_elsewhere(tmp_path / "a")
    taken = []
    assert writer.write("a", "items/a", lambda: taken.extend(other.take("a") for _ in range(2)))
    assert taken == [False, False]
    assert other.take("a")
