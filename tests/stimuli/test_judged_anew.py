"""A null distribution that comes later judges what is made, and only what fails by it is attempted again."""

import json

import msgspec
import numpy as np
import pytest
import scipy.io.wavfile
from tiny_plan import PLAN, write_plan

from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.layout import RECORD
from audiometamer.metamers.results import iterate_results
from audiometamer.metamers.unfinished import Unfinished, save_unfinished
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.layout import CHECKPOINT, MANIFEST
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.records import read_record
from audiometamer.stimuli.run import run
from audiometamer.stimuli.set import write_set
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import verify

WITH_NULL = PLAN.replace("[[models]]", '[[models]]\nnull = "null.json"')


def make(path, **how):
    run(expand(read_plan(path)), device="cpu", **how)
    return {item.key: item for item in iterate_results(path.parent / "set")}


def write_null(folder, snr_db):
    """All that matters is whether the SNR is above a value."""
    limits = {metric: MetricNull(snr_db if metric == "snr_db" else -2.0, {}) for metric in METRICS}
    NullDistribution(1, 2, "made up", {"relu0": limits}).save(folder / "null.json")


def snr(item):
    return item.evidence.similarity["relu0"]["snr_db"]


def files(folder):
    return {path: path.stat().st_mtime_ns for path in (folder / "set" / "items").rglob("*.wav")}


@pytest.fixture
def unjudged(tmp_path):
    path = write_plan(tmp_path)
    return path, make(path)


def as_of_version_0_1(folder, judge):
    """Rewrite a set as the first version left it: the judge in the identity and so in the key, and none in the evidence."""
    for item in list(iterate_results(folder)):
        record, key = folder / item.record, item.key[::-1]
        content = json.loads(record.read_text())
        content["identity"]["judge_sha256"] = judge
        for field in ("judged_by", "earlier_verdicts", "signal_sha256", "original_sha256"):
            del content["evidence"][field]
        for field in ("replaces", "seal"):
            del content[field]
        for tried in content["evidence"]["tries"]:
            del tried["continues"], tried["layer"]
        record.write_text(json.dumps(content | {"key": key}))
        record.parent.rename(record.parent.with_name(record.parent.name.replace(item.key, key)))


@pytest.mark.parametrize("old", [False, True])
def test_a_null_that_comes_later_judges_what_is_made(unjudged, tmp_path, old):
    path, before = unjudged
    if old:
        as_of_version_0_1(tmp_path / "set", "of another null distribution")
    made = files(tmp_path)
    write_null(tmp_path, -100.0)
    path.write_text(WITH_NULL)
    after = make(path)
    assert files(tmp_path) == made
    assert len(after) == len(before) == 6
    assert read_status(tmp_path / "set").counts["passed"] == 6
    (expected,) = {item.judge_sha256 for item in expand(read_plan(path)).items}
    for item in after.values():
        evidence = read_record(tmp_path / "set" / item.record).evidence
        assert evidence.verdict.margin["snr_db"] == pytest.approx(snr(item) + 100, abs=1e-3)
        assert evidence.judged_by == expected
        (earlier,) = evidence.earlier_verdicts
        assert (earlier.verdict.passed, earlier.verdict.beyond_null) == (None, {})
        assert (earlier.judged_by is None) == old
    assert list(verify(tmp_path / "set")) == []
    records = {file: file.stat().st_mtime_ns for file in (tmp_path / "set").rglob(RECORD)}
    make(path)
    assert {file: file.stat().st_mtime_ns for file in records} == records


def test_an_old_set_is_recognised_as_made(unjudged, tmp_path):
    path, _ = unjudged
    (judge,) = {item.judge_sha256 for item in expand(read_plan(path)).items}
    as_of_version_0_1(tmp_path / "set", judge)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "set" / "items").rglob("*") if file.is_file()}
    make(path)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "set" / "items").rglob("*") if file.is_file()} == before


@pytest.mark.filterwarnings("ignore:.*made again")
@pytest.mark.parametrize("by", ["this version", "version 0.2", "this version, mending"])
def test_items_of_version_0_1_that_are_attempted_again_verify(unjudged, tmp_path, by):
    path, _ = unjudged
    as_of_version_0_1(tmp_path / "set", "of another null distribution")
    write_null(tmp_path, 1e9)
    path.write_text(WITH_NULL)
    if by == "this version, mending":
        for signal in (tmp_path / "set").rglob("metamer.wav"):
            signal.write_bytes(signal.read_bytes()[:100])
    made = make(path, attempts=2)
    if by == "version 0.2":  # it had no seals, and named the judge of no later attempt
        for record in (tmp_path / "set").rglob(RECORD):
            content = json.loads(record.read_text()) | {"seal": "", "replaces": []}
            if record.parent.name != "0":
                del content["identity"]["judge_sha256"]
            record.write_text(json.dumps(content))
        (tmp_path / "set" / MANIFEST).unlink()
        write_set(tmp_path / "set")
    assert {len(item.seeds) for item in made.values()} == {2}
    assert list(verify(tmp_path / "set")) == []


def test_only_what_fails_is_attempted_again_and_as_if_it_had_been_judged_at_once(tmp_path):
    short = PLAN.replace("steps = 20", "steps = 40").replace("batch_size = 2", "batch_size = 1")  # no batch, no other rounding
    path = write_plan(tmp_path, short)
    before = make(path)
    assert {len(item.evidence.tries) for item in before.values()} == {1}  # nothing has failed by its label
    middle = sorted(map(snr, before.values()))[2]
    write_null(tmp_path, middle)  # three are not above it
    path.write_text(short.replace("[[models]]", '[[models]]\nnull = "null.json"'))
    made = files(tmp_path)
    after = make(path)
    assert files(tmp_path).items() >= made.items()  # nothing is replaced
    again = {key for key, item in after.items() if len(item.seeds) == 2}
    assert again == {key for key, item in before.items() if snr(item) <= middle}
    for key in again:
        assert after[key].seeds == [before[key].seed] * 2
        attempts = after[key].folder / after[key].record
        first = read_record(attempts.parent / "attempts" / "0" / RECORD)
        assert first.evidence.verdict.passed is False
        assert [len(read_record(attempts.parent / "attempts" / "1" / RECORD).evidence.tries) > 1] == [True]
    (fresh := tmp_path / "fresh").mkdir()
    other = write_plan(fresh, path.read_text())
    write_null(fresh, middle)
    at_once = make(other)
    assert at_once.keys() == after.keys()
    for key, item in at_once.items():
        assert item.passed == after[key].passed
        assert item.evidence.attempt == after[key].evidence.attempt
        one, two = (scipy.io.wavfile.read(each.path)[1] for each in (item, after[key]))
        np.testing.assert_allclose(one, two, atol=1e-4)
    counts = read_status(tmp_path / "set").counts
    assert make(path).keys() == after.keys()
    assert read_status(tmp_path / "set").counts == counts
    assert list(verify(tmp_path / "set")) == []


def test_a_checkpoint_that_a_killed_worker_left_beside_a_finished_item_starts_nothing(tmp_path):
    write_null(tmp_path, 1e9)
    path = write_plan(tmp_path, WITH_NULL)
    made = make(path)
    assert {item.passed for item in made.values()} == {False}
    for item in made.values():
        record = tmp_path / "set" / item.record
        settings, fingerprint = item.evidence.settings, read_record(record).identity.method_sha256
        save_unfinished(record.parent / CHECKPOINT, Unfinished(settings, fingerprint, 0, [], None, None, 0.0))
    before = files(tmp_path)
    assert {item.key: item.seeds for item in make(path).values()} == {item.key: item.seeds for item in made.values()}
    assert files(tmp_path) == before


def test_where_there_is_no_null_any_more_the_verdict_stays(tmp_path):
    write_null(tmp_path, -100.0)
    path = write_plan(tmp_path, WITH_NULL)
    make(path)
    path.write_text(PLAN)
    assert all(item.passed for item in make(path).values())


def test_labels_that_come_later_count(unjudged, tmp_path):
    path, before = unjudged
    (tmp_path / "groups.toml").write_text('any = ["yes", "no", "perhaps"]\n')
    path.write_text(PLAN.replace("[[models]]", '[[models]]\ngroups = "groups.toml"'))
    after = make(path)
    assert after.keys() == before.keys()
    assert {pair for item in after.values() for pair in item.evidence.verdict.labels.values()} == {("any", "any")}


def test_the_judge_is_no_part_of_an_identity(unjudged):
    path, before = unjudged
    write_null(path.parent, 3.0)
    path.write_text(WITH_NULL)
    items = expand(read_plan(path)).items
    assert {item.key for item in items} == before.keys()
    assert all(item.has_null for item in items)
    assert b"judge" not in msgspec.json.encode(items[0].identity)
