"""Making a plan's items: whole or absent, shared, resumed, and one's error not another's."""

import csv
import json
import os
import shutil
import signal
import threading
import time

import faulty_runs
import numpy as np
import pytest
import scipy.io.wavfile
import torch
from command_line import refused
from processes import CONTEXT, finished, started
from tiny_plan import PLAN, write_plan

import audiometamer as am
from audiometamer.cli import main
from audiometamer.errors import AudioMetamerWarning
from audiometamer.io.hashes import sha256_of
from audiometamer.jobs.queue import Queue
from audiometamer.jobs.workers import Interruption
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.layout import RECORD
from audiometamer.metamers.results import iterate_results
from audiometamer.metamers.unfinished import load_unfinished
from audiometamer.stimuli.clips import natural_clips, read_clips
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.layout import CHECKPOINT, read_failure
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.records import read_record
from audiometamer.stimuli.run import RETRY_STRIDE, StimulusMaker, prepare, run
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import read_manifest, verify


def opened(path):
    return expand(read_plan(path))


def queue_of(expansion, interruption=None, progress=None):
    """One worker at a plan."""
    maker = StimulusMaker(expansion, torch.device("cpu"), interruption=interruption)
    return Queue(maker, expansion.items, expansion.folder / "claims", progress=progress)


def made(folder):
    return {item.key: item.path.read_bytes() for item in iterate_results(folder)}


def written(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "items").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return write_plan(tmp_path_factory.mktemp("plan"))


@pytest.fixture(scope="module")
def whole(plan):
    """The set of an undisturbed run."""
    expansion = opened(plan)
    run(expansion, device="cpu")
    return expansion.folder


def test_a_run_makes_what_the_plan_asks_for(plan, whole, capsys):
    found = list(iterate_results(whole))
    assert [(i.evidence.settings.clip, i.evidence.settings.seed) for i in found] == [
        (f"c{k}", seed) for k in range(3) for seed in (0, 1)
    ]
    for item in found:
        record = read_record(whole / item.record)
        assert record.key == record.identity.key == item.key
        assert item.record.split("/")[-2] == f"relu0_seed{record.identity.settings.seed}-{item.key}"
        original = scipy.io.wavfile.read(whole / item.original)[1]
        natural = am.read_clip(plan.parent / f"{record.identity.settings.clip}.wav", sample_rate=4000, duration=0.25)
        np.testing.assert_array_equal(original, natural.samples.numpy())
    clips = (whole / "clips.csv").read_text().splitlines()
    assert clips[:2] == ["name,path,start,duration,word,licence", "c0,../c0.wav,,,no,CC0"]
    again = opened(whole / "plan.toml")  # the resolved plan means the same
    assert [item.key for item in again.items] == [item.key for item in opened(plan).items]
    assert main(["status", str(whole), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {
        "passed": 0, "failed": 0, "unjudged": 6, "running": 0, "error": 0, "to do": 0,
    }  # fmt: skip


def test_a_run_ends_with_what_the_set_says_of_itself(whole):
    def table(name):
        with (whole / name).open(newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    assert [row["key"] for row in table("index.tsv")] == [item.key for item in iterate_results(whole)]
    assert table("clips.tsv") == [{"clip": f"c{k}", "word": "yes" if k % 2 else "no", "licence": "CC0"} for k in range(3)]
    assert [row["licence"] for row in table("LICENCES.tsv")] == ["CC0"] * 3
    assert json.loads((whole / "dataset_description.json").read_text())["License"] == "CC0"
    assert "6 metamers of\n3 clips" in (whole / "README.md").read_text()
    assert {path.name for path in whole.iterdir()} - {path.split("/")[0] for path in read_manifest(whole)} == {
        "MANIFEST.sha256", ".lock", "claims",
    }  # fmt: skip
    assert list(verify(whole)) == []


def test_metamers_start_from_the_signals_of_the_table_and_stop_by_the_plan_s_rule(tmp_path):
    """Both start from another clip, and are closer to it than the loss at which they stop."""
    path = write_plan(tmp_path, PLAN.replace("seeds = [0, 1]", 'stop = "below:5"'), n_clips=3)
    (tmp_path / "clips.csv").write_text("path,initial\nc0.wav,c2.wav\nc1.wav,c2.wav\n")
    run(opened(path), device="cpu")
    folder, start = tmp_path / "set", am.read_clip(tmp_path / "c2.wav", sample_rate=4000, duration=0.25, level=None).samples
    for item in iterate_results(folder):
        settings = read_record(folder / item.record).identity.settings
        assert (settings.initial, settings.stop) == (sha256_of(start), "Below(value=5.0)")
        assert item.evidence.path.startswith("initial signal")
        assert torch.equal(torch.from_numpy(scipy.io.wavfile.read(item.path)[1]), start)
    assert (folder / "clips.csv").read_text().splitlines()[:2] == ["name,path,start,duration,initial", "c0,../c0.wav,,,../c2.wav"]
    assert (folder / "clips.tsv").read_text().splitlines()[0] == "clip"
    assert [item.key for item in opened(folder / "plan.toml").items] == [item.key for item in opened(path).items]
    (tmp_path / "clips.csv").write_text("path,initial\nc0.wav,c2.wav\nc1.wav,\n")
    with pytest.raises(am.AudioMetamerError, match="'c0' has an initial signal and 'c1' has none; give one for each"):
        opened(path)


def test_a_second_run_makes_nothing(plan, whole, capsys):
    before = written(whole)
    assert main(["run", str(plan), "--device", "cpu"]) == 0
    assert written(whole) == before
    assert "6 of 6 items" in capsys.readouterr().out


def test_items_swapped_whole_are_made_again_and_nothing_of_them_is_lost(whole, tmp_path):
    folder = shutil.copytree(whole.parent, tmp_path / "copy")
    one, other, *_ = sorted(record.parent for record in (folder / "set").glob(f"items/*/*/*/{RECORD}"))
    records = [(at / RECORD).read_bytes() for at in (one, other)]
    for name in (RECORD, "metamer.wav"):
        between = tmp_path / name
        (one / name).rename(between)
        (other / name).rename(one / name)
        between.rename(other / name)
    with pytest.warns(AudioMetamerWarning, match="which belongs in another folder"):
        run(opened(folder / "plan.toml"), device="cpu")
    for at, before, foreign in ((one, *records), (other, *reversed(records))):
        assert read_record(at / RECORD).key == json.loads(before)["key"]
        assert (at / f"{RECORD}.broken").read_bytes() == foreign
    assert not [found for found in verify(folder / "set") if not found.file.endswith(".broken")]


def test_a_changed_plan_makes_only_what_changed(tmp_path):
    path = write_plan(tmp_path, PLAN.replace("[0, 1]", "[0]"), n_clips=2)
    run(opened(path), device="cpu")
    before = written(tmp_path / "set")
    path.write_text(PLAN.replace("[0, 1]", "[0, 5]"))
    run(opened(path), device="cpu")
    after = written(tmp_path / "set")
    assert before.items() <= after.items()
    assert len(list(iterate_results(tmp_path / "set"))) == 4
    assert (tmp_path / "set" / "plan-2.toml").exists()


def test_order_and_batches_do_not_matter(whole, tmp_path):
    path = write_plan(tmp_path, PLAN.replace("batch_size = 2", "batch_size = 5").replace("[0, 1]", "[1, 0]"))
    run(opened(path), device="cpu")
    there, here = made(whole), made(tmp_path / "set")
    assert there.keys() == here.keys()
    for key, content in there.items():
        one, other = (torch.frombuffer(bytearray(c[-4000:]), dtype=torch.float32) for c in (content, here[key]))
        assert float((one - other).square().sum()) < 1e-6 * float(one.square().sum())


def test_what_cannot_be_synthesised_is_found_in_its_batch(tmp_path, monkeypatch):
    from audiometamer.stimuli import run as run_module

    def poisoned(model, jobs, **kwargs):
        if any(clip.name == "c1" and seed == 0 for clip, _, seed in jobs):
            raise RuntimeError("the loss is not finite")
        return iterate(model, jobs, **kwargs)

    iterate = run_module.iterate_metamers
    monkeypatch.setattr(run_module, "iterate_metamers", poisoned)
    expansion = opened(write_plan(tmp_path))
    run(expansion, device="cpu")
    failed = [item for item in expansion.items if read_failure(expansion.folder / item.folder)]
    assert [(i.source.name, i.identity.settings.seed) for i in failed] == [("c1", 0)]
    assert read_failure(expansion.folder / failed[0].folder).type == "RuntimeError"
    assert read_status(expansion.folder).made == 5


@pytest.fixture
def impossible(tmp_path):
    """A plan of a clip whose metamers all fail their verdict."""
    nulls = {metric: MetricNull(2.0 if metric != "snr_db" else 500.0, {}) for metric in METRICS}
    NullDistribution(1, 2, "nothing passes", {"relu0": nulls}).save(tmp_path / "null.json")
    return write_plan(tmp_path, PLAN.replace("[[models]]", '[[models]]\nnull = "null.json"').replace("= 20", "= 4"), n_clips=1)


def test_a_seed_of_the_plan_that_is_also_a_retrys_is_made_too(impossible):
    plan = impossible.read_text()
    impossible.write_text(plan.replace("[0, 1]", "[0]"))
    run(opened(impossible), device="cpu")
    impossible.write_text(plan.replace("[0, 1]", f"[0, {RETRY_STRIDE}]"))
    run(opened(impossible), device="cpu", attempts=2)
    found = {tuple(item.seeds) for item in iterate_results(impossible.parent / "set")}
    assert found == {(0, RETRY_STRIDE), (RETRY_STRIDE, 2 * RETRY_STRIDE)}
    assert not claims(impossible.parent / "set")


def test_failed_items_are_tried_with_other_seeds_and_all_attempts_kept(impossible, tmp_path, capsys):
    path = impossible
    assert main(["run", str(path), "--device", "cpu", "--retry", "failed", "--attempts", "3"]) == 0
    assert "2 of them failed their verdict" in capsys.readouterr().out
    for item in iterate_results(tmp_path / "set"):
        at = (tmp_path / "set" / item.record).parent
        seed = item.evidence.settings.seed % RETRY_STRIDE
        assert item.seeds == [seed, seed + RETRY_STRIDE, seed + 2 * RETRY_STRIDE]
        attempts = [read_record(at / "attempts" / str(k) / RECORD) for k in range(3)]
        assert [r.evidence.settings.seed for r in attempts] == item.seeds
        files = {(at / "attempts" / str(k) / r.file).resolve() for k, r in enumerate(attempts)}
        assert len(files) == 3
        assert item.path.resolve() in files
        best = max(attempts, key=lambda r: r.evidence.similarity["relu0"]["snr_db"])
        assert best.evidence.settings.seed == item.evidence.settings.seed


def test_a_folder_in_the_way_and_no_set(tmp_path, capsys):
    path = write_plan(tmp_path, n_clips=1)
    (tmp_path / "set").write_text("a file")
    assert "is a file; the set needs a folder" in refused(capsys, "run", path, "--device", "cpu")
    assert "is no stimulus set" in refused(capsys, "status", tmp_path)
    assert "plan.toml is no stimulus set: it is a file; give the folder" in refused(capsys, "status", path)
    assert "cannot be read: No such file" in refused(capsys, "run", tmp_path / "none.toml")


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def claims(folder):
    return list((folder / "claims").glob("[!.]*"))


def test_terminated_it_gives_its_claims_back_and_goes_on_from_a_checkpoint(tmp_path):
    path, folder, log = write_plan(tmp_path, PLAN.replace("steps = 20", "steps = 20000")), tmp_path / "set", tmp_path / "log"
    reached = []
    for number in (signal.SIGTERM, signal.SIGUSR1):
        process = started(faulty_runs.make, path, output=log)
        wait_for(lambda: log.exists() and log.read_text().count(": step ") > len(reached))  # it reports the first one at once
        assert len(claims(folder)) == 6
        assert read_status(folder).counts["running"] > 0
        time.sleep(1)  # for some more
        os.kill(process.pid, number)
        assert finished(process) == 130
        assert "finished work is kept" in log.read_text()
        assert not claims(folder)
        kept = [load_unfinished(file) for file in sorted(folder.rglob(CHECKPOINT))]
        assert len(kept) >= 2
        reached.append(max(found.state.step for found in kept))
    assert 0 < reached[0] < reached[1]
    assert not (folder / "MANIFEST.sha256").exists()


def test_a_finished_item_has_no_checkpoint(tmp_path):
    """A worker stopped in the middle, as before a time limit; the next one goes on and removes what was kept."""
    expansion = opened(write_plan(tmp_path, n_clips=1))
    prepare(expansion)
    interruption = Interruption()
    queue = queue_of(expansion, interruption=interruption, progress=lambda *_: interruption.ask())
    with pytest.raises(KeyboardInterrupt):
        queue.work()
    assert len(list(expansion.folder.rglob(CHECKPOINT))) == 2
    run(expansion, device="cpu")
    assert len(list(iterate_results(expansion.folder))) == 2
    assert not list(expansion.folder.rglob(CHECKPOINT))


def test_workers_share_the_items_and_one_that_is_killed_is_replaced(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", lambda method: CONTEXT)  # seconds faster than to begin anew
    killed = []

    def kill_one():
        wait_for(lambda: claims(tmp_path / "set"))
        killed.append(json.loads(claims(tmp_path / "set")[0].read_text())["pid"])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    run(opened(write_plan(tmp_path)), device="cpu", workers=2)
    killer.join()
    assert killed[0] != os.getpid()
    assert made(tmp_path / "set").keys() == made(whole).keys()
    assert list(verify(tmp_path / "set")) == []
    assert not claims(tmp_path / "set")


def test_a_worker_whose_items_were_taken_over_discards_its_results(tmp_path):
    """As of a process that was suspended for long; also what it failed at, and its checkpoints."""
    expansion = opened(write_plan(tmp_path, n_clips=1))
    prepare(expansion)
    first, second = queue_of(expansion), queue_of(expansion)
    mine, _ = first.claim(expansion.items, 2)
    for claim in claims(expansion.folder):
        claim.unlink()
    assert second.work() == len(mine) == 2
    before = {path: path.read_bytes() for path in expansion.folder.glob("items/*/*/*/*")}
    first.maker.open(mine[0].item)
    first.maker.interruption.asked = True  # checkpoints are written at once
    with (
        pytest.warns(AudioMetamerWarning, match=r"relu0_seed[01]-.* was taken over by another worker"),
        pytest.raises(KeyboardInterrupt),
    ):
        first.make(mine)
    first.maker.interruption.asked = False
    first.make(mine)
    first.fail(mine[0].item, ValueError("no"))
    assert {path: path.read_bytes() for path in expansion.folder.glob("items/*/*/*/*")} == before
    assert first.made == 0


def test_a_worker_leaves_alone_what_another_holds(tmp_path):
    expansion = opened(write_plan(tmp_path))
    prepare(expansion)
    first, second = queue_of(expansion), queue_of(expansion)
    mine, rest = first.claim(expansion.items, 2)
    assert [item for item, _ in mine] == expansion.items[:2]
    assert rest == expansion.items[2:]
    others, _ = second.claim(expansion.items[:1], 2)
    assert not others


def test_what_another_gives_back_at_the_last_moment_is_made(tmp_path, monkeypatch):
    expansion = opened(write_plan(tmp_path, PLAN.replace("steps = 20", "steps = 1"), n_clips=1))
    prepare(expansion)
    first, second = queue_of(expansion), queue_of(expansion)
    held, _ = first.claim(expansion.items, 2)
    wait = second.wait

    def wait_and_see():
        for item, _ in held:
            first.claims.release(item.key)
        return wait()

    monkeypatch.setattr(second, "wait", wait_and_see)
    assert second.work() == 2


def test_check_counts_what_is_there(plan, whole, capsys):
    assert main(["plan", "check", str(plan), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert f"6 items of 3 clips in {whole}, 6 of them there already; 0.1 MB of disk in all" in out
    assert "time left" in out
    assert main(["plan", "check", str(plan), "--no-measure"]) == 0
    assert "time left" not in capsys.readouterr().out


def test_notes_of_hundreds_of_clips_are_reported_in_brief(tmp_path, capsys):
    path = write_plan(tmp_path, n_clips=6)
    for k in range(6):
        samples = np.random.default_rng(k).uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
        scipy.io.wavfile.write(tmp_path / f"c{k}.wav", 4000, samples)
    assert main(["plan", "check", str(path), "--no-measure"]) == 0
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    reported = [line for line in notes if "no null distribution" not in line]
    assert len(notes) == len(reported) + 1
    assert [line.endswith("channels were mixed down to one") for line in reported] == [True, True, True, False]
    assert reported[3] == "note: and 3 more of this kind; the record of each item contains those of its clip"


def test_natural_clips_lie_in_the_set_without_metamers(tmp_path):
    text = PLAN.replace("[0, 1]", "[0]").replace('"clips.csv"', '"clips.csv"\nnatural.word = "yes"')
    path = write_plan(tmp_path, text)
    run(opened(path), device="cpu")
    folder = tmp_path / "set"
    assert sorted(item.evidence.settings.clip for item in iterate_results(folder)) == ["c0", "c2"]
    (name, file), *others = natural_clips(folder).items()
    assert (name, others) == ("c1", [])
    natural = am.read_clip(tmp_path / "c1.wav", sample_rate=4000, duration=0.25)
    np.testing.assert_array_equal(scipy.io.wavfile.read(folder / file)[1], natural.samples.numpy())
    assert {clip: row["word"] for clip, row in read_clips(folder).items()} == {"c0": "no", "c1": "yes", "c2": "no"}
    assert "c1\tCC0" in (folder / "LICENCES.tsv").read_text()
    assert list(verify(folder)) == []
    again = opened(folder / "plan.toml")  # the resolved plan means the same
    assert [item.key for item in again.items] == [item.key for item in opened(path).items]
    assert [clip.name for clip in again.natural] == ["c1"]
