"""Command lines that nobody would write into the command line: every command, its options taken from click's own tree.

Usage: ``python tests/endurance/fuzz_commands.py [CASES [SEED [quick]]]`` (default: 400 cases, seed 0).

Two thirds are lines that work, with a few words changed, dropped or added; the others are drawn from a command's options by
their types. With ``quick``, those that may take long are left out. It ends with a line that must say "0 kinds of fault". Faults
are an exception that leaves the command line, a status other than 0, 2 and 130 (1 where differences are reported), more than 40
s where nothing large was asked for, a line of more than 400 characters. The exit status is 0 if there is none, and 1 otherwise.
"""

import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from pathlib import Path

import click
import fuzzing
import tiny_built
import tiny_experiment
import tiny_ladder_plan
import tiny_models
import tiny_plan
import tiny_training

from audiometamer import networks
from audiometamer.cli import audiometamer, main
from audiometamer.models.model_folder import save_weights

NUMBERS = [
    "0", "-1", "1", "2", "3", "1.5", "1e300", "-1e300", "1e-300", "nan", "inf", "-inf", str(2**31), str(2**63 - 1), str(2**63),
    str(2**64), str(-(2**63)), "9" * 5000, "1e400", "0x10", "1_000", "٣", "１", " 1", "", "one", "1,5", "1:05", "0:61:00",
]  # fmt: skip
# What an --out could point to as --overwrite is drawn too, must not be one of the machine's own files.
_STRINGS = [text for text in fuzzing.STRINGS if not text.startswith(("/", "..", "~"))]
_MEMORY = 10 << 30  # bytes
_STOP = 1.5  # seconds for what may take for ever
_FOR_EVER = {"demo", "train", "serve", "rehearse", "benchmark"}
_PROCESSES = ("--workers", "--tasks", "--cpus", "--gpus", "--listeners", "--kills", "--count")  # never thousands of them
MODEL = ["--model", "tiny_models:sound_model"]
QUICK = [*MODEL, "--layers", "relu0", "--device", "cpu"]
_RIGHT = """
demo MODEL --device cpu --out o
synth c0.wav QUICK --steps 2 --out o --seed 1
synth c0.wav c1.wav QUICK --steps 2 --start 0.01 --duration 0.1 --null null.json
synth QUICK --steps 2 --target target.safetensors --out o
synth c0.wav QUICK --steps 2 --groups groups.toml --method default
record c0.wav QUICK --out t.safetensors
report metamers --out r.html
benchmark QUICK --steps 1 --clips 1
models
models --json
layers tiny_models:sound_model --all
layers m
null c0.wav c1.wav c2.wav QUICK --pairs 3 --out n.json
train recipe.toml --data data --out model --device cpu --workers 0
test-model m --data data --snr 0 --out tm --device cpu
import-checkpoint a.pt --network cochcnn9 --labels labels.txt --out o
evaluate metamers --models tiny_models:sound_model --resamples 10 --out ev --device cpu
invariance c0.wav QUICK --probes 2 --out i
plan check plan.toml --device cpu
run plan.toml --device cpu --workers 1
submit plan.toml --write-only --tasks 2 --time 1:00:00
status made --json
status made
stimuli index made --clips clips.csv --name x
stimuli verify made
stimuli export made --to psychopy --out ex --seed 1
stimuli export set --to bids --out ex
stimuli select set --out s.tsv --balance word --seed 2
experiment power --accuracy 0.9,0.5 --trials 5 --experiments 5 --most 20 --seed 1
experiment sentences --language en
experiment build set --design design.toml --out e
experiment rehearse experiment --out rh --listeners 1
experiment serve experiment --port 0
experiment links experiment --count 2 --url http://a
experiment release experiment 1 --reason x
experiment pack experiment --to static --out p
experiment collect experiment trials.tsv
experiment export experiment --out x
experiment analyse trials.tsv --resamples 10 --permutations 10 --seed 1 --out an
explore dimensions c0.wav c1.wav c2.wav c3.wav c4.wav QUICK --components 2 --out dims
explore catalogue c0.wav MODEL --dimensions dimensions --strongest 1 --steps 2 --out cat
explore ladder ladder.toml --device cpu
explore submit ladder.toml --write-only --tasks 1
explore build xdesign.toml --out xe
explore rehearse xexperiment --out rh --listeners 1
explore serve xexperiment --port 0
explore analyse xexperiment --resamples 10 --out xan
"""


def _words(line: str) -> list[str]:
    return line.replace("QUICK", " ".join(QUICK)).replace("MODEL", " ".join(MODEL)).split()


RIGHT = [_words(line) for line in _RIGHT.strip().splitlines()]


def prepare(folder: Path) -> None:
    """Whatever the lines that work need, and files of every wrong kind."""
    plan = tiny_plan.PLAN.replace("steps = 20", "steps = 2").replace("[0, 1]", "[0]").replace('"set"', '"made"')
    tiny_plan.write_plan(folder, plan, n_clips=5)
    (folder / "groups.toml").write_text('a=["yes"]\nb=["no","perhaps"]\n')
    (folder / "labels.txt").write_text("yes\nno\nperhaps\n")
    tiny_built.write_design(folder).rename(folder / "xdesign.toml")
    built = folder / "built"
    built.mkdir()
    tiny_experiment.build_experiment(built)
    for name, at in (("set", built / "set"), ("experiment", built / "experiment"), ("design.toml", built / "design.toml")):
        at.rename(folder / name)
    (folder / "ladders").mkdir()
    tiny_ladder_plan.write_ladder_plan(folder / "ladders", tiny_models.sound_model())
    for name in ("dimensions", "references"):
        (folder / "ladders" / name).rename(folder / name)
    (folder / "ladder.toml").write_text(f'output = "rungs"\n{tiny_ladder_plan.PLAN}')
    (folder / "data").mkdir()
    tiny_training.write_recordings(folder / "data")
    (folder / "recipe.toml").write_text(tiny_training.RECIPE)
    (folder / "m").mkdir()
    sha256 = save_weights(networks.CochCNN9(2, width=0.02), folder / "m" / "weights.safetensors")
    (folder / "m" / "model.toml").write_text(
        f'name="m"\nsample_rate=20000\nduration=2.0\nlevel=0.1\nlabels={{word=["low","high"]}}\n[network]\nname="CochCNN9"\noptions={{width=0.02}}\n'
        f'[front_end]\npreset="feather2023"\n[weights]\nfile="weights.safetensors"\nsha256="{sha256}"\n'
    )
    import torch
    import torch._dynamo  # what is interrupted while it is imported stays half imported

    torch.save({"a": torch.zeros(1)}, folder / "a.pt")
    (folder / "trials.tsv").write_text("listener\ttrial\tkind\tanswer\tcorrect\n1\t1\tmain\ta\t1\n")
    for command in (
        ["synth", "c0.wav", *QUICK, "--steps", "2"],
        ["record", "c0.wav", *QUICK, "--out", "target.safetensors"],
        ["null", "c0.wav", "c1.wav", "c2.wav", *QUICK, "--pairs", "3"],
        ["run", "plan.toml", "--device", "cpu"],
        ["explore", "build", "xdesign.toml", "--out", "xexperiment"],
    ):
        if main(command):
            raise RuntimeError(f"{command} does not work")


def wrong_kinds(folder: Path) -> None:
    """Files that none of the commands takes."""
    contents = {
        "empty": b"", "one": b"x", "nul": bytes(4096), "bom": b"\xff\xfe", "deep.json": b"[" * 100_000,
        "line.txt": b"a" * 1_000_000,
        "junk.wav": b"RIFF" + bytes(100), "deep.toml": b"a = " + b"[" * 1200 + b"]" * 1200,
        "junk.db": b"SQLite format 3\0" + bytes(100),
        "x.json": b'{"a": [1, {"b": null}]}', "t.tsv": b"a\tb\n1\t2\n", "zip.zip": b"PK\x05\x06" + bytes(18),
        "x.toml": b"a = 1\n",
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")


def _commands(group: click.Group, context: click.Context, names: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found |= _commands(command, context, (*names, name)) if isinstance(command, click.Group) else {(*names, name): command}
    return found


class Lines:
    """A source of command lines, the same for the same seed."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = fuzzing.generator(seed)
        self.files = sorted(path.name for path in folder.iterdir())
        self.commands = _commands(audiometamer, click.Context(audiometamer))
        self.right = {name: [line for line in RIGHT if tuple(line[: len(name)]) == name] for name in self.commands}

    def next(self) -> list[str]:
        """A line that works with something changed, or one that is made up."""
        name = self.rng.choice([*self.commands])
        if any(word in _FOR_EVER for word in name) and self.rng.random() < 0.85:  # slow, and started often enough
            return self.next()
        made_up = self.rng.random() < 0.35 or not self.right[name]
        line = self._made_up(name) if made_up else self._changed(name)
        if "fifo" in line and self.rng.random() < 0.95:  # each is waited for
            return self.next()
        return [word for word in line if "\0" not in word]  # no system passes it on

    def may_take_long(self, line: list[str]) -> bool:
        """Whether a command serves, trains, or was asked for something large: to interrupt it is its end."""
        options = next((self.commands[name].params for name in (tuple(line[:2]), tuple(line[:1])) if name in self.commands), [])
        has_model = any(parameter.name == "model_name" for parameter in options) and not any("tiny" in word for word in line)
        large = any(word.lstrip("-").replace("_", "").isdecimal() and len(word) > 2 for word in line)
        return large or has_model or not _FOR_EVER.isdisjoint(line)

    def _made_up(self, name: tuple[str, ...]) -> list[str]:
        line = [*name]
        for parameter in self.commands[name].params:
            is_needed = parameter.required or isinstance(parameter, click.Argument)
            for _ in range(self.rng.choice((0, 1, 2) if parameter.multiple or parameter.nargs == -1 else (0, 1))):
                line += self._given(parameter) if self.rng.random() < (0.95 if is_needed else 0.3) else []
        return line

    def _changed(self, name: tuple[str, ...]) -> list[str]:
        line = [*self.rng.choice(self.right[name])]
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            what, at = self.rng.random(), self.rng.randrange(len(name), len(line)) if len(line) > len(name) else None
            if at is None or what < 0.4:
                line += self._given(self.rng.choice(self.commands[name].params)) if self.commands[name].params else []
            elif what < 0.85:
                harmless = line[at - 1] in _PROCESSES
                line[at] = self.rng.choice(("0", "-1", "x", "1.5")) if harmless else self._anything()
            elif what < 0.93:
                del line[at]
            else:
                line.insert(at, self._anything())
        return line

    def _anything(self) -> str:
        return self.rng.choice([*self.files, *_STRINGS, *NUMBERS])

    def _given(self, parameter: click.Parameter) -> list[str]:
        """An option or argument with a value, mostly of its type."""
        name = [self.rng.choice(parameter.opts)] if isinstance(parameter, click.Option) else []
        if getattr(parameter, "is_flag", False):
            return name
        if set(parameter.opts) & {*_PROCESSES}:
            return [
                *name,
                self.rng.choice(
                    ("-1", "0", "1", "2", "x", str(2**64)) if "--workers" not in parameter.opts else ("-1", "0", "1", "x")
                ),
            ]
        if self.rng.random() < 0.15:
            return [*name, self._anything()]
        if isinstance(parameter.type, click.Choice):
            return [*name, str(self.rng.choice([*parameter.type.choices]))]
        if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType | click.FloatRange):
            return [*name, self.rng.choice(NUMBERS)]
        if isinstance(parameter.type, click.Path):
            return [*name, self.rng.choice(self.files)]
        good = [word for line in RIGHT for at, word in enumerate(line) if line[at - 1] in parameter.opts]
        return [*name, self.rng.choice([*good, *_STRINGS, *self.files] if not good or self.rng.random() < 0.6 else good)]


def fuzz(cases: int, seed: int, *, quick: bool = False) -> fuzzing.Account:
    """Run the cases; returns how they ended.

    With `quick`, there is no watchdog, nothing that the lines that work need, and no line that may take long.
    """
    account = fuzzing.Account()
    with fuzzing.scratch() as folder, tempfile.TemporaryDirectory() as kept:
        if not quick:
            prepare(folder)
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        wrong_kinds(folder)
        lines = Lines(folder, seed)
        for case in range(cases):
            if case % 20 == 0:
                fuzzing.tidy(folder, set())
                shutil.copytree(kept, folder, dirs_exist_ok=True)
                wrong_kinds(folder)
            line = lines.next()
            if quick and (lines.may_take_long(line) or not {"fifo", "socket", "-"}.isdisjoint(line)):
                continue
            account.add(line, stop=_STOP if lines.may_take_long(line) else None, watched=not quick)
            fuzzing.tidy(folder, set(lines.files))
        return account


def _main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    cases, seed, *quick = [*sys.argv[1:], *("400", "0")[len(sys.argv) - 1 :]]
    begun = time.time()
    account = fuzz(int(cases), int(seed), quick=bool(quick))
    return account.report(f"command lines, seed {seed}, {fuzzing.elapsed(begun)}")


if __name__ == "__main__":
    sys.exit(_main())
