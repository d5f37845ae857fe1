"""What is no input: names, numbers, files and functions that nothing can be made of are one line that can be read."""

import os
import socket
import sys
import threading

import pytest
from command_line import refused
from tiny_plan import PLAN, write_plan

import audiometamer as am
from audiometamer.cli import main
from audiometamer.io.integers import as_seed
from audiometamer.io.reading import read_file_bytes, read_unicode
from audiometamer.io.toml_files import parse_toml
from audiometamer.models.model_folder import save_weights
from audiometamer.networks import CochCNN9

MODEL = ("--model", "tiny_models:sound_model", "--layers", "relu0", "--steps", "1")
LONG = "x" * 5000


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (("synth", "a.wav", "--model", LONG), "there is no model"),
        (("synth", "a.wav", *MODEL, "--steps", LONG), "Invalid value for '--steps'"),
        (("status", "/".join(["d"] * 3000)), "File name too long"),
        (("layers", "\x1b[31m"), r"\x1b[31m"),
        (("layers", "a\nb"), r"a\nb"),
        ((LONG,), "No such command"),
    ],
)
def test_lines_stay_short_and_control_nothing(capsys, arguments, reported):
    line = refused(capsys, *arguments)
    assert reported in line
    assert len(line) < 400
    assert "\x1b" not in line


def test_of_a_long_list_of_problems_the_first_are_shown(tmp_path, capsys):
    plan = write_plan(tmp_path, PLAN + "".join(f"{'k' * 300}{k} = {k}\n" for k in range(99)), n_clips=1)
    assert main(["plan", "check", str(plan)]) == 2
    first, *others = capsys.readouterr().err.splitlines()
    assert "99 things are wrong" in first
    assert len(others) == 31
    assert others[-1] == "  and 69 more"
    assert max(map(len, others)) < 400


@pytest.mark.parametrize("seed", ["-1", str(2**63), str(2**64), "1e300", "1.5", "nan"])
def test_seeds_of_every_command(capsys, seed):
    for command in (
        ("synth", "a.wav"),
        ("null", "a.wav"),
        ("experiment", "power"),
        ("stimuli", "select", "set"),
        ("evaluate", "m"),
    ):
        line = refused(capsys, *command, "--seed", seed)
        assert ("is not in the range 0<=x<=9223372036854775807" in line) or ("is not a valid integer range" in line)


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64, 1e300, 0.5, float("nan"), float("inf"), "1", None])
def test_seeds_in_python(seed):
    with pytest.raises(am.AudioMetamerError, match=r"^seed is .*; it must be a whole number"):
        as_seed(seed)
    assert as_seed(2**63 - 1) == 2**63 - 1


@pytest.mark.parametrize("seed", ["-1", str(2**64), "1e300", "inf", "9" * 5000])
def test_seeds_in_a_plan(tmp_path, capsys, seed):
    line = refused(capsys, "plan", "check", write_plan(tmp_path, PLAN.replace("[0, 1]", f"[{seed}]"), n_clips=1))
    assert len(line) < 400


def test_a_control_takes_no_seed_of_thousands_of_digits():
    with pytest.raises(am.AudioMetamerError, match="there is no model"):
        am.load_model("random:tiny_models:sound_model:" + "9" * 5000)


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("a = " + "[" * 1200 + "]" * 1200, "nested too deeply"),
        ("a = " + "[" * 70 + "]" * 70, "nested more than 64 levels"),
        (".".join("x" * 800) + " = 1", "nested more than 64 levels"),
        (".".join("x" * 100_000) + " = 1", "nested more than 64 levels"),  # 40 GB, if it were parsed
        ("[" + " . ".join(["x", '"x"', "'x y'"] * 30_000) + "]", "nested more than 64 levels"),
        ("a = " + "9" * 5000, "a number has too many digits"),
        ("a = 1\na = 2", "Cannot overwrite a value"),
    ],
)
def test_toml_that_no_settings_are(text, reported):
    with pytest.raises(ValueError, match=reported):
        parse_toml(text)


def test_toml_with_long_words_numbers_and_dots_in_strings():
    text = f"a.b = '{'x' * 10_000}'\nc = [{'0.5, ' * 1000}]\nd = '...{'. ' * 1000}'\n[{'.'.join('e' * 60)}]\n"
    assert list(parse_toml(text)) == ["a", "c", "d", "e"]


@pytest.mark.parametrize("value", ["nan", "-inf", "1e999", "1e300", str(2**64)])
def test_numbers_that_no_setting_is(tmp_path, capsys, value):
    line = refused(capsys, "plan", "check", write_plan(tmp_path, f"level = {value}\n{PLAN}", n_clips=1))
    assert "level: must be finite and at most 1e15" in line
    assert "(line 1)" in line


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.io.locks._PATIENCE", 0.1)
    os.mkfifo("fifo")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("fifo", "dangling", "loop", "socket", "/dev/zero", "/dev/null", ".", "a\0b", LONG):
            with pytest.raises(OSError, match=r"it is|No such|Too many|null byte|too long"):
                read_file_bytes(name)


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "check", "{}"), ("experiment", "build", ".", "--design", "{}", "--out", "o"),
        ("explore", "build", "{}", "--out", "o"),
        ("explore", "ladder", "{}"), ("experiment", "analyse", "{}"), ("experiment", "analyse", "t.tsv", "--key", "{}"),
        ("stimuli", "index", ".", "--clips", "{}"), ("synth", "a.wav", *MODEL, "--groups", "{}"),
        ("train", "{}", "--data", ".", "--out", "o"),
        ("import-checkpoint", "a.pt", "--network", "cochcnn9", "--labels", "{}", "--out", "o"),
        ("synth", "a.wav", *MODEL, "--null", "{}"),
    ],
)  # fmt: skip
def test_what_is_no_file_in_the_place_of_one(tmp_path, capsys, command):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "empty").touch()
    (tmp_path / "zeros").write_bytes(bytes(4096))
    for name in ("/dev/zero", "loop", "empty", "zeros", "."):
        assert len(refused(capsys, *(word.format(name) for word in command))) < 400


def test_a_text_comes_through_a_pipe(tmp_path):
    os.mkfifo("fifo")
    writer = threading.Thread(target=lambda: (tmp_path / "fifo").write_text("a = 1"))
    writer.start()
    assert read_unicode(tmp_path / "fifo") == "a = 1"
    writer.join()


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        ("sys:exit", "sys (built in) has no function exit that returns a model"),
        ("os:abort", "has no function abort that returns a model"),
        ("os:_exit", "has no function _exit that returns a model"),
        ("builtins:input", "has no function input that returns a model"),
        ("builtins:dict", "dict returns {}; it must return an am.Model or a module"),
        ("ends:asks", "the function failed (EOFError"),
        ("ends:base", "the function failed (BaseException: gone"),
        ("ends:lies", "the function failed (ZeroDivisionError"),
    ],
)
def test_functions_that_make_no_model(tmp_path, monkeypatch, capsys, name, reported):
    (tmp_path / "ends.py").write_text(
        "from torch import nn\ndef asks(): return input()\n"
        "def base(): raise BaseException('gone')\n"
        "class lies(nn.Module):\n    @property\n    def sample_rate(self): 1 / 0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    stdin = sys.stdin
    assert reported in refused(capsys, "layers", name)
    assert sys.stdin is stdin


@pytest.mark.parametrize("raised", ["BaseException('gone')", "SystemExit(0)", "GeneratorExit"])
def test_a_module_that_ends_everything_when_it_is_imported(tmp_path, monkeypatch, capsys, raised):
    (tmp_path / "ends.py").write_text(f"raise {raised}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    assert "ends cannot be imported" in refused(capsys, "layers", "ends:make")


def test_a_network_far_larger_than_its_weights_is_not_built(tmp_path, capsys):
    sha256 = save_weights(CochCNN9(3, width=0.02), tmp_path / "m" / "weights.safetensors")
    (tmp_path / "m" / "model.toml").write_text(
        'name = "m"\nsample_rate = 20000\nduration = 2.0\nlevel = 0.1\nlabels = {word = ["a", "b", "c"]}\n'
        '[network]\nname = "CochCNN9"\noptions = {width = 2400}\n[front_end]\npreset = "feather2023"\n'
        f'[weights]\nfile = "weights.safetensors"\nsha256 = "{sha256}"\n'
    )
    assert "m/weights.safetensors holds 42282 numbers, but the network of its card has" in refused(capsys, "layers", "./m")


def test_memory_that_is_not_there_is_one_line(monkeypatch, capsys):
    def vast(*_: object) -> None:
        raise MemoryError("Unable to allocate 7 EiB")

    monkeypatch.setattr("audiometamer.models.loading.load_model", vast)
    assert "not enough memory: Unable to allocate 7 EiB" in refused(capsys, "layers", "m")


def test_nothing_but_a_file_is_overwritten(capsys):
    os.mkfifo("fifo")
    assert "fifo is a device or a pipe" in refused(capsys, "null", "a.wav", "b.wav", *MODEL[:4], "--out", "fifo", "--overwrite")
