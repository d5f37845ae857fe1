"""Who shares a batch, who needs another attempt, and what happens when memory runs out."""

import dataclasses

import pytest
import torch
from msgspec.structs import replace
from tiny_models import make_clip

import audiometamer as am
from audiometamer.matching import Below, NormalizedDescent, Plateau, Stuck
from audiometamer.metamers import synthesis
from audiometamer.metamers.methods import Attempt, Method, load_method
from audiometamer.metamers.scheduling import Job, layer_before, resumption, schedule


class Seeded(Job):
    """Of two seeds one fails until it has made three attempts."""

    def should_run(self, attempt, before):
        return self.seed % 2 == 1 and len(self.tries) < 3


def run_all(jobs, batch_size, run):
    default = load_method("default")
    return schedule(jobs, default, batch_size=batch_size, before=None, device=torch.device("cpu"), run=run)


def test_signals_that_try_again_share_batches_and_the_others_leave():
    """Eight seeds in batches of two; of each first batch one fails, and needs three attempts."""
    batches = []

    def run(jobs, others):
        batches.append((jobs[0].attempt, [job.seed for job in jobs]))
        for job in jobs:
            job.tries.append(jobs[0].attempt)

    left = [job.seed for job in run_all([Seeded(None, "relu1", seed) for seed in range(8)], 2, run)]
    assert batches == [(0, [0, 1]), (0, [2, 3]), (1, [1, 3]), (2, [1, 3]), (0, [4, 5]), (0, [6, 7]), (1, [5, 7]), (2, [5, 7])]
    assert left == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_request_to_stop_gives_what_has_a_result_and_nothing_else():
    """Of four seeds in batches of two, the first batch has a result when the second is stopped, in which one has one."""

    def run(jobs, others):
        if jobs[0].seed == 2:
            jobs[0].best = "a result"
            raise am.matching.StopSynthesis
        for job in jobs:
            job.tries.append(0)
            job.best = "a result"

    finished = run_all([Seeded(None, "relu1", seed) for seed in range(4)], 2, run)
    assert [next(finished).seed for _ in range(3)] == [0, 2, 1]
    with pytest.raises(am.matching.StopSynthesis):
        next(finished)


def test_a_batch_that_memory_has_no_room_for_is_halved(tiny, tiny_clip, monkeypatch):
    whole, sizes = synthesis.run_attempt, []

    def attempt(setup, passes, jobs, others, *, before):
        sizes.append(len(jobs))
        if len(jobs) > 2:
            raise torch.OutOfMemoryError("no room")
        whole(setup, passes, jobs, others, before=before)

    monkeypatch.setattr(synthesis, "run_attempt", attempt)
    seeds = range(5)
    with pytest.warns(am.AudioMetamerWarning, match="no memory for 5 signals; continuing with 2"):
        found = am.synthesize(tiny, tiny_clip, "relu1", seed=seeds, steps=20, method="feather2023", batch_size=8)
    assert sizes == [5, 2, 2, 1]
    assert [metamer.evidence.settings.seed for metamer in found] == list(seeds)

    def never(setup, passes, jobs, others, *, before):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(synthesis, "run_attempt", never)
    with pytest.raises(am.AudioMetamerError, match="cpu has no memory for one signal at relu1"):
        am.synthesize(tiny, tiny_clip, "relu1")


def test_a_warm_start_follows_a_failure_but_not_a_signal_that_got_stuck(tiny, tiny_clip):
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", steps=3, method="feather2023")
    (tried,) = metamer.evidence.tries
    failed = replace(metamer.evidence, verdict=replace(metamer.evidence.verdict, passed=False))
    cold, warm, by_before = (
        Attempt("a", lambda steps: None, **options) for options in ({}, {"warm_start": True}, {"layer_before": True})
    )

    def needs(outcome, evidence, before="relu0"):
        tries = [replace(tried, outcome=outcome)]
        job = Job(metamer.clip, "relu1", 0, tries=tries, best=(metamer.samples, evidence))
        return [job.should_run(attempt, before) for attempt in (cold, warm, by_before)]

    assert needs("finished", failed) == [True, True, True]
    assert needs("plateau after 40 steps", failed) == [True, True, True]
    assert needs("stuck after 40 steps", failed) == [True, False, True]
    assert needs("finished", failed, before=None) == [True, True, False]
    assert needs("finished", metamer.evidence) == [False, False, False]  # not judged, so not failed
    assert needs("stuck after 40 steps", metamer.evidence) == [True, False, True]
    assert Job(metamer.clip, "relu1", 0).should_run(warm, None)  # nothing has been tried yet


def test_the_layer_before_is_that_which_the_model_lists(tiny):
    assert [layer_before(tiny, layer) for layer in tiny.layers] == [None, *tiny.layers[:-1]]
    assert layer_before(tiny, "conv0") is None


def test_a_metamer_of_a_user_s_method_resumes_with_it(tiny, tiny_clip):
    descent = lambda steps: NormalizedDescent(lambda step: 0.1)  # noqa: E731 (one line of mathematics)
    method = Method("two", 5, (Attempt("first", descent), Attempt("second", descent)))
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", method=method)
    settings, evidence = metamer.evidence.settings, replace(metamer.evidence, tries=metamer.evidence.tries[:1])
    passed, failed = (
        am.Metamer(metamer.samples, metamer.clip, replace(evidence, verdict=replace(evidence.verdict, passed=passed)))
        for passed in (True, False)
    )
    assert resumption(tiny, passed, settings, method) is None
    found = resumption(tiny, failed, settings, method)
    assert (found.attempt, found.fingerprint, len(found.tries)) == (1, method.fingerprint(), 1)
    with pytest.raises(am.AudioMetamerError, match=r"there is no method 'two [0-9a-f]{12}'; there are default, feather2023"):
        resumption(tiny, failed, settings)


def test_the_default_stop_is_half_way_and_only_for_attempts_from_noise():
    cold, warm = load_method("default").attempts[:2]
    assert load_method("default").stopping_rule(cold, 201) == Stuck(after=101)
    assert load_method("default").stopping_rule(warm, 200) is None
    assert load_method("feather2023").stopping_rule(load_method("feather2023").attempts[0], 100) is None
    own = Attempt("own", lambda steps: None, stop=lambda steps: Plateau(steps // 4))
    assert Method("m", 10, (own,)).stopping_rule(own, 100) == Plateau(25)


def test_an_added_rule_stops_signals_beside_the_method_s_own_and_is_in_the_record(tiny, tiny_clip):
    options = {"layers": "relu0", "steps": 60}
    (whole,) = am.synthesize(tiny, tiny_clip, **options)
    (early,) = am.synthesize(tiny, tiny_clip, stop=Below(1e9), **options)
    (never,) = am.synthesize(tiny, tiny_clip, stop=Below(0.0), **options)
    assert {t.outcome for t in early.evidence.tries} == {"matched after 0 steps"}
    assert early.evidence.settings.stop == "Below(value=1000000000.0)"
    assert torch.equal(never.samples, whole.samples)
    assert [t.outcome for t in never.evidence.tries] == [t.outcome for t in whole.evidence.tries]
    assert (whole.evidence.settings.stop, never.evidence.settings.stop) == ("", "Below(value=0.0)")
    with pytest.raises(
        am.AudioMetamerError, match=r"stop is 3; it must be 'passed' or a stopping rule, such as am.Plateau\(100\)"
    ):
        am.synthesize(tiny, tiny_clip, stop=3, **options)


def test_a_coarser_front_end_takes_the_steps_before_the_last_quarter(tiny, tiny_clip, monkeypatch):
    grids = []
    forward = am.Cochleagram.forward
    monkeypatch.setattr(am.Cochleagram, "forward", lambda self, x: (grids.append(self.oversampling), forward(self, x))[1])
    coarse = dataclasses.replace(load_method("feather2023"), early_oversampling=8.0, exact=False)
    am.synthesize(tiny, tiny_clip, "relu0", method=coarse, steps=8)
    start = grids.index(8.0)
    assert grids[start : start + 8] == [8.0] * 6 + [20.0] * 2
    assert set(grids[:start] + grids[start + 6 :]) == {20.0}  # what is tried before, targets and evidence
    grids.clear()
    am.synthesize(tiny, tiny_clip, "relu0", method=dataclasses.replace(coarse, early_oversampling=32.0), steps=4)
    assert set(grids) == {20.0}
    assert coarse.fingerprint() != load_method("feather2023").fingerprint()


def test_signals_may_stop_as_soon_as_they_pass(tiny, tiny_clip):
    null = am.NullDistribution.measure(tiny, [make_clip("c", seed).samples for seed in range(3, 9)])
    options = {"layers": "relu1", "steps": 200, "null": null, "seed": [0, 1], "batch_size": 2}
    reached = am.synthesize(tiny, tiny_clip, stop="passed", **options)
    for metamer in reached:
        last = metamer.evidence.tries[-1]
        assert metamer.passed
        assert last.outcome == f"passed after {last.steps} steps"
        assert last.steps < 200
        assert metamer.evidence.settings.stop == "passed"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "stop is 'passed', and there is no null distribution to pass a verdict by"),
        ({"method": "normanhaignere2018"}, "the method normanhaignere2018 repeats a procedure and takes no stopping rule"),
    ],
)
def test_what_cannot_stop_so_is_refused(tiny, tiny_clip, options, match):
    null = None if not options else am.NullDistribution.measure(tiny, [make_clip("c", seed).samples for seed in range(3, 6)])
    with pytest.raises(am.AudioMetamerError, match=match):
        am.synthesize(tiny, tiny_clip, "relu1", stop="passed", null=null, **options)
