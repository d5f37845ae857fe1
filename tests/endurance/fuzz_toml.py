"""Mutated TOML files of every kind into the commands that read them.

Usage: ``python tests/endurance/fuzz_toml.py [CASES [SEED [KIND …]]]`` (default: 50 of each kind, seed 0).

It prints a line for each kind, which must say "0 kinds of fault". Faults are an exception that leaves the command line, a
status other than 0, 2 and 130, more than 40 s, a line of more than 400 characters, and a file outside the folder that it works
in. A file that met one is left in the current folder. The exit status is 0 if there is none, and 1 otherwise.
"""

import copy
import datetime
import random
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import fuzzing
import tiny_built
import tiny_experiment
import tiny_ladder_plan
import tiny_models
import tiny_plan
import tiny_training
import tomli_w
import torch

from audiometamer import networks
from audiometamer.listening.sentences import shipped_file
from audiometamer.models.model_folder import save_weights

NUMBERS: list[Any] = [
    0, -1, 1, 2, 3, 7, 10**6, 2**31 - 1, 2**31, 2**53, 2**63 - 1, -(2**63), 2**63, 2**64, -(10**30), 1e308, -1e308, 5e-324,
    0.0, -0.0, 0.5,
    -0.5, float("nan"), float("inf"), float("-inf"), 1e-12, 1e12, 44100, 48000, 16, 24, 100, True, False,
]  # fmt: skip
OTHERS: list[Any] = [
    [], {}, [[]], [{}], {"a": {}}, [0], ["a"], ["a", "a"], [1, 1], datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    datetime.date(2026, 1, 1),
    datetime.time(1, 2), [float("nan")], [1e308, 1e308], [""] * 3, list(range(300)), ["x" * 300] * 50,
]  # fmt: skip
BYTES = [
    b"[", b"]", b'"', b"\n", b"=", b"{", b"\xff\xfe", b"\0", b"1" * 5000, b"[" * 3000,
    b"a = " + b"[" * 1200 + b"]" * 1200 + b"\n",
    b"x." * 800 + b"y=1\n", b"1e999", b"0x" + b"f" * 100, b"\xef\xbb\xbf", b"\xed\xa0\x80", b"a=1\na=2\n", b"\r", b"'''",
    b"a = " + b"{b=" * 1200 + b"1" + b"}" * 1200 + b"\n", b"1979-05-27T07:32:00Z", b"x = 99999-99-99\n",
]  # fmt: skip
_HERE = Path.cwd()
BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Kind(NamedTuple):
    """A kind of file: what it is before it is mutated, and the command that reads it; see `Account.add` for `stop`.

    It ends well with the file as it is, unless `works` is False.
    """

    content: dict[str, Any]
    file: str
    command: list[str]
    stop: float | None = None
    works: bool = True


def _plan(folder: Path) -> Kind:
    content = tomllib.loads(tiny_plan.write_plan(folder, n_clips=2).read_text())
    content["clips"].update(select={"word": "no"}, count=1, seed=0, start=0.0, duration=0.2)
    content.update(method="default", level=0.1)
    (folder / "groups.toml").write_text('a=["yes"]\nb=["no","perhaps"]\n')
    content["models"][0]["groups"] = "groups.toml"
    return Kind(content, "plan.toml", ["plan", "check", "plan.toml", "--device", "cpu"])


def _run(folder: Path) -> Kind:
    kind = _plan(folder)
    kind.content["steps"] = 2
    return kind._replace(command=["run", "plan.toml", "--device", "cpu"], stop=8)


def _design(folder: Path) -> Kind:
    tiny_experiment.write_stimuli(folder / "set")
    content = tomllib.loads(tiny_experiment.DESIGN)
    content.update(
        trials=3, balance="latin", texts={},
        conditions={"natural": True, "models": ["tiny"], "layers": ["relu0"], "seeds": [0], "failed": False,
        "missing": "leave-out"},
        answers={"kind": "choice", "of": "word", "alternatives": 3}, breaks={"every": 2},
        sounds={"sample_rate": 44100, "bits": 16, "level": -30.0, "peaks": "lower", "ramp": 10.0},
        completion={"finished": "https://a.b/c", "stopped": "https://a.b/d"},
    )  # fmt: skip
    return Kind(content, "design.toml", ["experiment", "build", "set", "--design", "design.toml", "--out", "out"])


def _sentences(folder: Path) -> Kind:
    kind = _design(folder)
    kind.content["texts"] = {"sentences": "sentences.toml"}
    (folder / "design.toml").write_text(tomli_w.dumps(kind.content))
    return Kind(tomllib.loads(shipped_file("en").read_text(encoding="utf-8")), "sentences.toml", kind.command)


def _exploration(folder: Path) -> Kind:
    tiny_built.write_design(folder)
    content = tomllib.loads(tiny_built.DESIGN)
    content["task"] = {"kind": "abx", "gap": 0.5, "rove": 2.0}
    content["procedure"].update(kind="staircase", least=0.1, most=0.8, start=0.8, steps=[1.5, 1.2], down=3, first_down=1)
    return Kind(content, "design.toml", ["explore", "build", "design.toml", "--out", "out"])


def _ladder(folder: Path) -> Kind:
    tiny_ladder_plan.write_ladder_plan(folder, tiny_models.sound_model())
    return Kind(tomllib.loads(tiny_ladder_plan.PLAN), "plan.toml", ["explore", "ladder", "plan.toml", "--device", "cpu"], 5)


def _recipe(folder: Path) -> Kind:
    (folder / "data").mkdir()
    tiny_training.write_recordings(folder / "data")
    content = tomllib.loads(tiny_training.RECIPE)
    content.update(
        optimizer={"name": "SGD", "learning_rate": 0.1, "schedule": "steps", "warm_up": 0.1}, background={"n_voices": [1, 3]},
        test_snrs=[0.0], sample_rate=20000, duration=2.0, level=0.1, seed=0, epochs=1,
    )  # fmt: skip
    command = ["train", "recipe.toml", "--data", "data", "--out", "model", "--device", "cpu", "--workers", "0"]
    return Kind(content, "recipe.toml", command, 4)


def _card(folder: Path) -> Kind:
    (folder / "m").mkdir()
    sha256 = save_weights(networks.CochCNN9(3, width=0.02), folder / "m" / "weights.safetensors")
    content = {
        "name": "m", "sample_rate": 20000, "duration": 2.0, "level": 0.1, "network": {"name": "CochCNN9",
        "options": {"width": 0.02}},
        "front_end": {"preset": "feather2023", "options": {"n_filters": 50}}, "description": "x", "data": {"a": "b"},
        "licence": "MIT",
        "weights": {"file": "weights.safetensors", "sha256": sha256}, "labels": {"word": ["a", "b", "c"]}, "training": {},
        "accuracy": {}, "multi_label": [], "limits": [],
    }  # fmt: skip
    return Kind(content, "m/model.toml", ["layers", "m"])


def _other_card(folder: Path, name: str, network: torch.nn.Module, options: dict[str, Any], front_end: dict[str, Any]) -> Kind:
    kind = _card(folder)
    sha256 = save_weights(network, folder / "m" / "weights.safetensors")
    kind.content.update(
        network={"name": name, "options": options}, front_end=front_end, labels={"word": ["a", "b"], "speaker": ["c", "d"]},
        weights={"file": "weights.safetensors", "sha256": sha256},
    )  # fmt: skip
    return kind


def _resnet(folder: Path) -> Kind:
    options = {"width": 0.02, "blocks": [1, 1, 1, 1], "reduced_aliasing": True}
    network = networks.CochResNet50({"word": 2, "speaker": 2}, **options)
    heard = {"n_mels": 40, "window_size": 1200, "hop": 100, "low_limit": 50.0, "high_limit": 9000.0, "compression": "log2"}
    front_end = {"preset": "mel", "options": {"sample_rate": 20_000, **heard}}
    return _other_card(folder, "CochResNet50", network, options, front_end)


def _spectemp(folder: Path) -> Kind:
    options = {"cochleagram_shape": [211, 390]}
    network = networks.SpecTemp({"word": 2, "speaker": 2}, **options)
    heard = {
        "n_filters": 50, "low_limit": 50.0, "high_limit": 10_000.0, "overcompleteness": 4, "scale": "erb", "include_edges": True,
        "envelope": "hilbert", "frame_rate": 200, "window_size": 1001, "kaiser_beta": 5.0, "compression": "power",
        "compression_power": 0.3, "compression_offset": 1e-8, "compression_scale": 1.0, "compression_gradient_clip": 5.0,
        "compress_first": False, "exact": False, "oversampling": 20.0,
    }  # fmt: skip
    return _other_card(folder, "SpecTemp", network, options, {"preset": "feather2023", "options": heard})


def _groups(folder: Path) -> Kind:
    tiny_plan.write_plan(folder, n_clips=1)
    model = ["--model", "tiny_models:sound_model", "--layers", "relu0", "--steps", "1", "--device", "cpu"]
    return Kind({"a": ["yes"], "b": ["no", "perhaps"]}, "groups.toml", ["synth", "c0.wav", *model, "--groups", "groups.toml"])


def _labels(folder: Path) -> Kind:
    torch.save({"a": torch.zeros(1)}, folder / "a.pt")
    command = ["import-checkpoint", "a.pt", "--network", "cochcnn9", "--labels", "labels.toml", "--out", "out"]
    return Kind({"word": ["yes", "no"], "speaker": ["a", "b"]}, "labels.toml", command, works=False)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "plan": _plan, "run": _run, "design": _design, "sentences": _sentences, "exploration": _exploration, "ladder": _ladder,
    "recipe": _recipe, "card": _card, "resnet": _resnet, "spectemp": _spectemp, "groups": _groups, "labels": _labels,
}  # fmt: skip


def _paths(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from _paths(value, (*path, key))


def _near(value: Any, content: dict[str, Any], rng: random.Random) -> Any:
    """A value that may be taken for what it stands for, so that something is made of it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice((value + 1, value - 1, 2 * value, value // 2, -value, value * 1.5))
    others = [other for path in _paths(content) if isinstance(other := _at(content, path), type(value))]
    return copy.deepcopy(rng.choice(others))


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def mutated(content: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """Content with one to three values changed, removed or added."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not (paths := [*_paths(content)]):
            break
        path = rng.choice(paths)
        within, key = _at(content, path[:-1]), path[-1]
        same = fuzzing.STRINGS if isinstance(within[key], str) else NUMBERS if isinstance(within[key], int | float) else OTHERS
        any_value = copy.deepcopy(rng.choice([*fuzzing.STRINGS, *NUMBERS, *OTHERS]))
        what = rng.random()
        if what < 0.2:
            within[key] = _near(within[key], content, rng)
        elif what < 0.4:
            within[key] = copy.deepcopy(rng.choice(same))
        elif what < 0.6:
            within[key] = any_value
        elif what < 0.7:
            del within[key]
        elif what < 0.85 and isinstance(within, dict):
            within[rng.choice(["x", "name", "seed", *fuzzing.STRINGS, *map(str, within)])] = any_value
        elif isinstance(within, list):
            within.append(any_value)
        else:
            within[key] = copy.deepcopy(content[rng.choice([*content])])
    return content


def torn(text: bytes, rng: random.Random) -> bytes:
    """Text with one to eight faults in its bytes."""
    content = bytearray(text)
    for _ in range(rng.choice((1, 2, 8))):
        k, i = rng.randrange(5), rng.randrange(len(content) + 1)
        if k == 0 and content:
            content[i % len(content)] = rng.randrange(256)
        elif k == 1:
            del content[i : i + rng.randrange(1, 30)]
        elif k == 2:
            content[i:i] = rng.choice(BYTES)
        elif k == 3:
            content += content[:i]
        else:
            del content[i:]
    return bytes(content)


def text_of(content: dict[str, Any], rng: random.Random) -> bytes:
    """A file with something wrong in its structure, its bytes, or both."""
    what = rng.random()
    text = tomli_w.dumps(mutated(content, rng) if what < 0.86 else content).encode("utf-8", "surrogatepass")
    text = torn(text, rng) if what > 0.8 else text
    return rng.choice(BOMS) + text if rng.random() < 0.02 else text


def fuzz(name: str, cases: int, seed: int, *, watched: bool = True) -> tuple[fuzzing.Account, list[str]]:
    """Run a kind's cases; returns how they ended, and the files that were written where none should be."""
    rng, account = fuzzing.generator(seed), fuzzing.Account()
    with fuzzing.scratch() as folder:
        kind = KINDS[name](folder)
        file = folder / kind.file
        file.write_bytes(tomli_w.dumps(kind.content).encode())
        kept = {path.name for path in folder.iterdir()}
        for case in range(cases):
            text = text_of(kind.content, rng) if case else file.read_bytes()
            file.write_bytes(text)
            fault = account.add(kind.command, stop=kind.stop, watched=watched)
            if not case and account.ended["2"] and kind.works:
                raise RuntimeError(f"{name}: the file is refused before it is mutated")
            if fault:
                (_HERE / f"fuzz-{name}-{seed}-{case}.toml").write_bytes(text)
            fuzzing.tidy(folder, kept)
        return account, [] if "output" in kind.content else fuzzing.outside(folder)  # an output may be anywhere


def _main() -> int:
    cases, seed, *names = [*sys.argv[1:], *("50", "0")[len(sys.argv) - 1 :]]
    status = 0
    for name in names or KINDS:
        begun = time.time()
        account, strays = fuzz(name, int(cases), int(seed))
        status |= account.report(f"{name}, seed {seed}, {fuzzing.elapsed(begun)}")
        for stray in strays:
            print(f"  written outside: {stray}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(_main())
