"""Methods of synthesis: what they consist of, what decides their fingerprint, and methods of the user's own."""

import re
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import audiometamer as am
from audiometamer.matching import LBFGS, Adam, Constant, Halving, NormalizedDescent, Plateau, Stuck, relative_l2
from audiometamer.metamers.methods import METHODS, Attempt, Method, load_method


def test_methods():
    assert list(METHODS) == [
        "default", "feather2023", "modulation", "modulation-refined", "normanhaignere2018", "textures", "textures-unweighted",
        "textures-normalised",
    ]  # fmt: skip
    assert METHODS["feather2023"].steps == 24_000
    published = METHODS["feather2023"].attempts[0].optimizer(24_000)
    assert published == NormalizedDescent(Halving(1.0, 3000))
    with pytest.raises(
        am.AudioMetamerError, match="no method 'adam'; there are default, feather2023, modulation, modulation-refined, n"
    ):
        load_method("adam")


def test_methods_of_earlier_versions_keep_their_fingerprints():
    """Sets that were made before are found by them."""
    assert load_method("default").fingerprint() == "bfd842ea5fa53149de093e7e13cdde8f7da7fb7af9614ddfa502a49f4421e736"
    assert load_method("feather2023").fingerprint() == "84036f156501f345a53fb262239ea0c737364c672accc6241ae6d1214b82c700"


def test_the_sixteen_attempts_of_the_default_method():
    attempts = load_method("default").attempts
    assert len(attempts) == 16
    assert [k for k, a in enumerate(attempts) if not a.warm_start] == [0, 3, 5, 7, 10, 13]
    assert [k for k, a in enumerate(attempts) if a.layer_before] == [10, 13]
    assert sum(a.steps_factor for a in attempts) * 200 == 4200  # docs/optimisers.md


def test_a_method_s_fingerprint_follows_what_decides_samples_only():
    method = load_method("default")
    assert method.fingerprint() == replace(method, description="other words", expected_steps=1).fingerprint()
    gentler = (replace(method.attempts[0], optimizer=lambda steps: NormalizedDescent(Constant(0.2))), *method.attempts[1:])
    others = [
        load_method("feather2023"),
        replace(method, version=3),
        replace(method, margin=0.02),
        replace(method, loss=relative_l2),
        replace(method, attempts=gentler),
        replace(method, attempts=method.attempts[:-1]),
        replace(method, attempts=(replace(method.attempts[0], layer_before=True), *method.attempts[1:])),
    ]
    assert len({m.fingerprint() for m in (method, *others)}) == 8


def method(optimizer=lambda steps: LBFGS(), **options):
    return Method("mine", 40, (Attempt("only", optimizer, **options),))


def test_parts_of_the_user_s_own_are_told_apart_by_what_they_hold():
    class Own:
        def __init__(self, rate):
            self.rate = rate

        def init(self, signals):
            return {}

        def step(self, step, signals, gradients, state):
            return signals - self.rate * gradients, state

    def scheduled(rate):
        return lambda steps: Adam(lambda step: rate)

    others = [
        method(),
        method(lambda steps: LBFGS(memory=3)),
        method(lambda steps: Own(0.1)),
        method(lambda steps: Own(0.2)),
        method(scheduled(0.1)),
        method(scheduled(0.2)),
        method(stop=lambda steps: Plateau(40)),
        method(stop=lambda steps: Plateau(60)),
        method(stop=lambda steps: lambda steps, losses: losses < 0.1),
        method(stop=lambda steps: lambda steps, losses: losses < 0.2),
        replace(method(), loss=lambda a, t: (a - t).flatten(1).square().sum(1)),
        replace(method(), loss=lambda a, t: (a - t).flatten(1).abs().sum(1)),
        replace(method(), loss=partial(am.matching.relative_l2_with_roots, offset=0.1)),
    ]
    assert len({each.fingerprint() for each in others}) == len(others)
    assert method(lambda steps: Own(0.1)).fingerprint() == others[2].fingerprint()


def test_a_fingerprint_is_the_same_in_every_process():
    program = """
from audiometamer.matching import Adam
from audiometamer.metamers.methods import Attempt, Method
attempt = Attempt("a", lambda steps: Adam(lambda step: 0.1), stop=lambda steps: lambda s, l: l < 1)
print(Method("mine", 40, (attempt,)).fingerprint())
"""
    runs = [subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True) for _ in range(2)]
    assert len(runs[0].stdout) == 65
    assert runs[0].stdout == runs[1].stdout


def test_the_recorded_name_holds_what_decides_the_samples():
    default = load_method("default")
    assert default.recorded_name == "default"
    assert replace(default, description="other words").recorded_name == "default"
    changed = replace(default, margin=0.02)
    assert changed.recorded_name == f"default {changed.fingerprint()[:12]}"
    assert load_method(changed) is changed


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: Attempt("a", LBFGS()),
            "optimizer of attempt 'a' is LBFGS; give a function of the number of steps",
        ),
        (lambda: method(stop=3), "stop of attempt 'only' is int; give a function of the number of steps: lambda steps: Plateau"),
        (lambda: Attempt("a", LBFGS), "optimizer of attempt 'a' is the class LBFGS; give a function of the number of steps"),
        (lambda: method(stop=Plateau(10)), "stop of attempt 'only' is Plateau; give a function of the number of steps"),
        (lambda: Attempt("a", lambda steps: LBFGS(), steps_factor=0), "steps_factor of attempt 'a' is 0; it must be at least 1"),
        (lambda: Method("m", 40, ()), r"attempts of method 'm' is \(\); it must hold one or more of class Attempt"),
        (lambda: Method("m", 0, (Attempt("a", lambda steps: LBFGS()),)), "steps of method 'm' is 0; it must be at least 1"),
        (lambda: method(warm_start=True), "the first attempt of method 'mine' is a warm start, and there is no signal"),
    ],
)
def test_methods_that_cannot_be(make, match):
    with pytest.raises(am.AudioMetamerError, match=match):
        make()


def test_a_single_attempt_needs_no_tuple():
    attempt = Attempt("a", lambda steps: LBFGS())
    assert Method("m", 40, attempt).attempts == (attempt,)
    with pytest.raises(
        am.AudioMetamerError, match=r"attempts of method 'm' is \(3,\); it must hold one or more of class Attempt"
    ):
        Method("m", 40, 3)


def test_the_example_of_the_documentation_runs_and_is_in_the_record(tiny, tiny_clip):
    """Ten lines that add another optimiser and a plateau stop."""
    page = (Path(__file__).parents[2] / "docs" / "optimisers.md").read_text()
    program = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    assert 0 < len(program.splitlines()) <= 12
    names = {"model": tiny, "clip": tiny_clip}
    exec(program, names)
    mine, (metamer,) = names["method"], names["metamers"]
    settings, (tried,) = metamer.evidence.settings, metamer.evidence.tries
    assert settings.method == f"{mine.name} {mine.fingerprint()[:12]}"
    assert (settings.layer, settings.steps, settings.loss) == ("final", 200, "relative_l2")
    assert tried.outcome == f"plateau after {tried.steps} steps"
    assert 40 <= tried.steps < 200
    assert len(tried.losses) == tried.steps // 20 + 1
    flat = [k for k in range(2, len(tried.losses)) if min(tried.losses[k - 1 : k + 1]) > 0.99 * min(tried.losses[: k - 1])]
    assert flat[0] == len(tried.losses) - 1  # the first report at which 40 steps brought less than a hundredth
    assert tried.snr_db > 20


def test_a_part_of_another_kind_is_refused_before_the_first_step(tiny, tiny_clip):
    for mine, match in (
        (method(lambda steps: torch.optim.LBFGS), "the optimiser is LBFGS, without init"),
        (method(stop=lambda steps: 3), "stop of attempt 'only' returns 3; it must return a stopping rule"),
    ):
        with pytest.raises(am.AudioMetamerError, match=match):
            am.synthesize(tiny, tiny_clip, "relu1", method=mine)
    with pytest.raises(am.AudioMetamerError, match=r"there is no method 3; there are default"):
        am.synthesize(tiny, tiny_clip, "relu1", method=3)


def test_a_single_attempt_that_is_never_stuck_takes_all_steps():
    gentle = replace(load_method("feather2023").attempts[0], stop=lambda steps: Stuck(10, min_decrease=0.5))
    assert Method("m", 100, (gentle,)).stopping_rule(gentle, 100) == Stuck(10, min_decrease=0.5)


@pytest.mark.filterwarnings("ignore:vowel. perhaps none of the 3 words that tiny knows:audiometamer.errors.AudioMetamerWarning")
def test_a_folder_finds_the_metamers_of_a_user_s_method_and_takes_no_other_s(tiny, tiny_clip, tmp_path):
    seen = []
    options = {"layers": "relu1", "progress": seen.append}
    (made,) = am.synthesize_into(tmp_path, tiny, tiny_clip, method=method(), **options)
    (found,) = am.synthesize_into(tmp_path, tiny, tiny_clip, method=method(), **options)
    assert (seen[0].existing, seen[-1].existing) == (0, 1)
    assert torch.equal(found.samples, made.samples)
    assert found.evidence.settings.method == method().recorded_name
    with pytest.raises(
        am.AudioMetamerError, match=r"was made with different settings \(method\); choose another --out, or --overwrite it"
    ):
        am.synthesize_into(tmp_path, tiny, tiny_clip, method=method(lambda steps: LBFGS(memory=3)), **options)
