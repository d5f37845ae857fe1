"""Metamers in the making go on as if nothing had happened."""

import threading
from itertools import count

import pytest
import torch

import audiometamer as am
from audiometamer.matching import LBFGS, Plateau, named, relative_l2
from audiometamer.matching.batch import select_state, stack_states
from audiometamer.matching.domains import Gaussian
from audiometamer.matching.optimizers import Cosine, NormalizedDescent
from audiometamer.matching.stopping import Stuck
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.methods import Attempt, Method
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.unfinished import Checkpoints, can_resume, load_unfinished, save_unfinished


class Stopped(Exception):
    pass


def test_a_match_goes_on_to_the_bit():
    """Kept at step 33 of 60, one of three signals having stopped as stuck at 30; gone on with from rows put together anew."""
    a = torch.randn(4, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    target = a @ torch.randn(10, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = target.T.contiguous()
    target[1] = 0  # its loss, the norm, cannot fall from zero
    options = {
        "domain": Gaussian(), "optimizer": NormalizedDescent(Cosine(0.5, 60), momentum=0.9), "steps": 60, "report_every": 10,
    }  # fmt: skip
    start = torch.zeros(3, 10, dtype=torch.float64)
    whole = am.match(lambda x: x @ a.T, target, start, stop=Stuck(30), **options)
    assert whole.steps.tolist() == [60, 30, 60]
    kept = {}

    def save(active, state):
        if state().step == 33:
            kept.update(active=active, state=state())
            raise Stopped

    with pytest.raises(Stopped):
        am.match(lambda x: x @ a.T, target, start, stop=Stuck(30), save=save, **options)
    assert kept["active"].tolist() == [0, 2]
    state = stack_states([select_state(kept["state"], 0), select_state(kept["state"], 1)], torch.device("cpu"))
    rest = am.match(lambda x: x @ a.T, target[[0, 2]], start[[0, 2]], stop=Stuck(30), resume_from=state, **options)
    assert torch.equal(rest.signals, whole.signals[[0, 2]])
    assert rest.loss_steps == whole.loss_steps
    assert torch.equal(rest.losses, whole.losses[[0, 2]])


def never(layer):
    """A null distribution that no metamer is beyond: every attempt is made."""
    impossible = {metric: MetricNull(2.0 if metric != "snr_db" else 500.0, {}) for metric in METRICS}
    return NullDistribution(1, 2, "nothing passes", {layer: impossible})


@pytest.mark.parametrize("stop_at", [7, 45, 130])
def test_a_metamer_goes_on_to_the_bit(tiny, tiny_clip, tmp_path, stop_at):
    """Stopped before some step of all its attempts, the first of which is 20 long, and gone on with by another call."""
    options = {"steps": 20, "null": never("relu1"), "seed": [0, 1]}
    whole = am.synthesize(tiny, tiny_clip, "relu1", **options)
    steps = count()
    checkpoints = Checkpoints(lambda s: tmp_path / f"{s.seed}.safetensors", stop=lambda: next(steps) == stop_at)
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(tiny, tiny_clip, "relu1", checkpoints=checkpoints, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.safetensors", "1.safetensors"]
    taken = []
    checkpoints = Checkpoints(lambda s: tmp_path / f"{s.seed}.safetensors")
    again = am.synthesize(tiny, tiny_clip, "relu1", checkpoints=checkpoints, progress=taken.append, **options)
    for a, b in zip(whole, again, strict=True):
        assert torch.equal(a.samples, b.samples)
        assert a.evidence.tries == b.evidence.tries
        assert a.evidence.kept == b.evidence.kept
    assert (taken[0].attempt, taken[0].step) > (0, 0)  # not from the beginning
    assert sum(t.steps for t in again[0].evidence.tries) > stop_at


def test_what_was_made_otherwise_is_begun_again(tiny, tiny_clip, tmp_path):
    steps = count()
    path = tmp_path / "kept.safetensors"
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(tiny, tiny_clip, "relu1", checkpoints=Checkpoints(lambda _: path, stop=lambda: next(steps) == 30), steps=60)
    kept = load_unfinished(path)
    assert kept is not None
    assert kept.state.step == 30
    assert Checkpoints(lambda _: path).load(kept.settings, kept.fingerprint) is not None
    assert Checkpoints(lambda _: path).load(kept.settings, "of another version") is None
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", checkpoints=Checkpoints(lambda _: path), steps=40)
    (fresh,) = am.synthesize(tiny, tiny_clip, "relu1", steps=40)
    assert torch.equal(metamer.samples, fresh.samples)


def test_checkpoints_come_by_the_clock_and_are_whole(tiny, tiny_clip, tmp_path):
    path = tmp_path / "a folder" / "kept.safetensors"
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", checkpoints=Checkpoints(lambda _: path, every=0.0), steps=10)
    kept = load_unfinished(path)
    assert kept.state.step == 9
    assert kept.seconds <= metamer.evidence.seconds
    save_unfinished(tmp_path / "again.safetensors", kept)
    again = load_unfinished(tmp_path / "again.safetensors")
    assert torch.equal(again.state.parameters, kept.state.parameters)
    assert (again.settings, again.tries, again.attempt, again.best) == (kept.settings, kept.tries, kept.attempt, kept.best)


@pytest.mark.parametrize("content", [b"", b"no checkpoint", (2).to_bytes(8, "little") + b"{}"])
def test_what_is_no_checkpoint(tmp_path, content):
    (tmp_path / "kept.safetensors").write_bytes(content)
    with pytest.raises(am.AudioMetamerError, match=r"kept\.safetensors is not a checkpoint: \w"):
        load_unfinished(tmp_path / "kept.safetensors")
    settings = Settings("c", "0", "m", "1", "relu0", 0, "default", 20, "inversion")
    with pytest.warns(am.AudioMetamerWarning, match=r"kept\.safetensors is not a checkpoint: .*; its metamer starts again"):
        assert Checkpoints(lambda _: tmp_path / "kept.safetensors").load(settings, "") is None
    assert not can_resume(tmp_path / "kept.safetensors", seed=0, attempts=0)
    assert load_unfinished(tmp_path / "none.safetensors") is None


def test_what_is_left_over_from_before_a_metamer_was_finished_does_not_resume_it(tiny, tiny_clip, tmp_path):
    path = tmp_path / "kept.safetensors"
    stopped = Checkpoints(lambda _: path, stop=lambda: True)
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(tiny, tiny_clip, "relu1", steps=20, checkpoints=stopped)
    assert can_resume(path, seed=0, attempts=0)  # it has no attempt to its end
    assert not can_resume(path, seed=0, attempts=1)  # the metamer has: it was finished, and then the process was killed
    assert not can_resume(tmp_path / "none.safetensors", seed=0, attempts=0)


class Holding:
    """A loss that holds a lock: whether another one is the same cannot be read from it."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, activations, target):
        return relative_l2(activations, target)


def test_a_loss_of_unknown_content_is_resumed_by_its_name_only(tiny, tiny_clip, tmp_path):
    path = tmp_path / "kept.safetensors"
    options = {"steps": 40, "method": "feather2023"}
    (free,) = am.synthesize(tiny, tiny_clip, "relu1", loss=Holding(), **options)
    assert free.evidence.settings.loss.startswith("Holding of unknown content ")
    with pytest.raises(am.AudioMetamerError, match=r"the content of the loss is unknown, .*matching.named\(loss, name="):
        am.synthesize(tiny, tiny_clip, "relu1", loss=Holding(), checkpoints=Checkpoints(lambda _: path), **options)
    single = Method("own", 40, (Attempt("a", lambda steps: NormalizedDescent(Cosine(0.1, steps))),), loss=Holding())
    with pytest.raises(am.AudioMetamerError, match="the content of the method is unknown"):
        am.synthesize(tiny, tiny_clip, "relu1", method=single, checkpoints=Checkpoints(lambda _: path))
    steps = count()
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(
            tiny, tiny_clip, "relu1", loss=named(Holding(), name="mine"), **options,
            checkpoints=Checkpoints(lambda _: path, stop=lambda: next(steps) == 30),
        )  # fmt: skip
    taken = []
    (resumed,) = am.synthesize(
        tiny, tiny_clip, "relu1", loss=named(Holding(), name="mine"), progress=taken.append, **options,
        checkpoints=Checkpoints(lambda _: path),
    )  # fmt: skip
    assert [p.step for p in taken] == []  # the reports were at 0 and 20, before it was stopped
    assert resumed.evidence.settings.loss == "named mine"
    assert torch.equal(resumed.samples, free.samples)


def test_a_method_of_the_user_s_own_resumes_to_the_bit(tiny, tiny_clip, tmp_path):
    """L-BFGS keeps its pairs in the checkpoint, a plateau looks at losses from before."""
    path = tmp_path / "kept.safetensors"
    attempt = Attempt("l-bfgs", lambda steps: LBFGS(max_step=0.3, memory=4), stop=lambda steps: Plateau(40))
    options = {"method": Method("l-bfgs", 200, (attempt,)), "seed": 3}
    (whole,) = am.synthesize(tiny, tiny_clip, "final", **options)
    steps = count()
    with pytest.raises(KeyboardInterrupt):
        am.synthesize(
            tiny, tiny_clip, "final", **options, checkpoints=Checkpoints(lambda _: path, stop=lambda: next(steps) == 33)
        )
    (resumed,) = am.synthesize(tiny, tiny_clip, "final", **options, checkpoints=Checkpoints(lambda _: path))
    assert resumed.evidence.tries == whole.evidence.tries
    assert torch.equal(resumed.samples, whole.samples)
