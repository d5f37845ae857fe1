"""What the command prints on any terminal, its help, and what it imports."""

import io
import json
import os
import re
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
import soundfile
from command_line import refused

from audiometamer.cli import audiometamer, main
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.cli.streams import ERRORS
from audiometamer.dimensions.finding import COMPONENT_METHODS
from audiometamer.dimensions.moving_methods import METHODS, STEPS
from audiometamer.io.resources import COMMAND, zoo_folder
from audiometamer.models import loading
from audiometamer.models.cards import DoubtCard, read_card, write_card
from audiometamer.models.shipped import zoo
from audiometamer.psychophysics import DECISION_RULES

ROOT = Path(__file__).parents[2]
NAMES = ["[noise]", "[/s]", "[red]take", ":smile:", "e[hidden]", "a\nb", "\x1b[31mred"]
SHOWN = ["[noise]", "[/s]", "[red]take", ":smile:", "e[hidden]", r"a\nb", r"\x1b[31mred"]

NETWORK = """
import random
import helper_of_it
from torch import nn

class Network(nn.Module):
    sample_rate, duration = 4000, 0.25

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1000, 2)

    def forward(self, x):
        return self.line(x)

def make():
    return Network().eval().requires_grad_(False)
"""


def ran(*command, folder, **kwargs):
    """A process of its own, for which the current folder is nothing special."""
    found = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests' / 'helpers'}",
        "COLUMNS": "80",
        **kwargs.pop("environment", {}),
    }
    found.pop("PYTHONSAFEPATH", None)
    return subprocess.run(list(map(str, command)), cwd=folder, env=found, capture_output=True, check=False, **kwargs)


def script(folder):
    """The console script, as an installer writes it."""
    path = folder / "bin" / "audiometamer"
    path.parent.mkdir(exist_ok=True)
    path.write_text("import sys\nfrom audiometamer.cli import run\nif __name__ == '__main__':\n    sys.exit(run())\n")
    return sys.executable, path


def test_strings_are_no_markup(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")  # and nothing is cut, however narrow the terminal
    table = plain_table(*NAMES)
    table.add_row(*NAMES)
    print_table(table)
    header, row = capsys.readouterr().out.splitlines()
    assert header.split() == row.split() == SHOWN


def test_progress_shows_strings_as_they_are(monkeypatch):
    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with tracked() as tracker:
        tracker(0.5, "[noise]: [/s] :smile:")
    assert "[noise]: [/s] :smile:" in terminal.getvalue()


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "ρ R² 3 × 4 – 日"), ("latin-1", r"rho R² 3 × 4 - \u65e5"), ("cp1252", r"rho R² 3 × 4 – \u65e5"),
     ("ascii", r"rho R2 3 x 4 - \u65e5")],
)  # fmt: skip
def test_what_an_encoding_lacks_is_spelled(encoding, expected):
    assert "ρ R² 3 × 4 – 日".encode(encoding, ERRORS).decode(encoding) == expected


@pytest.mark.parametrize(
    ("environment", "encoding", "cross"),
    [({"PYTHONIOENCODING": "ascii"}, "ascii", "x"), ({"PYTHONIOENCODING": "cp1252:strict"}, "cp1252", "×"),
     ({"LC_ALL": "C", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "10"}, "utf-8", "×")],
)  # fmt: skip
def test_any_terminal_will_do(tmp_path, environment, encoding, cross):
    done = ran(*COMMAND, "layers", "tiny_models:sound_model", folder=tmp_path, environment=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode(encoding).splitlines()
    assert re.fullmatch(rf" cochleagram +front_end +13 {cross} 21 +273 *", lines[1])
    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize("group", [(), ("experiment",), ("explore",), ("stimuli",), ("plan",)])
def test_help_cuts_no_description(capsys, monkeypatch, group):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*group, "--help"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.replace("[ARGS]...", "")
    context = click.Context(audiometamer)
    command = audiometamer.get_command(context, group[0]) if group else audiometamer
    names = command.list_commands(context)
    assert sorted(names) == sorted(set(names))
    for name in names:
        paragraph = cleandoc(command.get_command(context, name).help).split("\n\n")[0]
        assert f"{name} {' '.join(paragraph.split())}" in " ".join(text.split())


def test_help_groups_the_commands(capsys):
    main(["--help"])
    headings = [line for line in capsys.readouterr().out.splitlines() if re.fullmatch(r"[A-Z].*:", line)]
    assert headings == ["Options:", "Make metamers:", "Models:", "Stimulus sets:", "Experiments:"]


@pytest.mark.parametrize("width", [60, 80])
def test_models_are_listed_whole(capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    *blocks, last = out.strip().split("\n\n")
    assert " ".join(last.split()).startswith("`audiometamer models MODEL` prints a card whole, with every label.")
    for name, block in zip(zoo(), blocks, strict=True):
        card, words = read_card(zoo_folder() / name), " ".join(block.split())
        assert block.splitlines()[0] == name
        for task, labels in card.labels.items():
            assert f"{len(labels)} {task}s: {', '.join(labels[:20])}" in words
        assert all(f"Limit: {limit}" in words for limit in card.limits)


def test_a_card_is_printed_whole(capsys, monkeypatch, tmp_path):
    """Of a folder, too: every label, the doubt, the groups."""
    monkeypatch.setenv("COLUMNS", "80")
    card = read_card(zoo_folder() / "cochcnn-digits")
    labels = [f"word{k}" for k in range(300)]
    score = {"clips": 10, "correct": 8, "percent": 80.0, "interval_95": (49.0, 94.3)}
    top = score | {"top_5": score | {"correct": 9, "percent": 90.0}}
    card = msgspec.structs.replace(
        card, labels={"word": labels}, accuracy={"word": {"quiet": top}}, accuracy_by_group={"word": {"age": {"adults": score}}},
        accuracy_by_class={"word": "accuracy-word.tsv"}, doubt={"word": DoubtCard(0.31, 50, 40.0, (27.6, 53.8))},
    )  # fmt: skip
    write_card(tmp_path, card)
    (tmp_path / "weights.safetensors").write_bytes(bytes(2_000_000))
    assert main(["models", str(tmp_path), "cochcnn-digits"]) == 0
    out = capsys.readouterr().out
    words = " ".join(out.split())
    assert ", ".join(labels) in words
    assert "2.0 MB; correct in quiet: word 80.0 % (among the first five 90.0 %)." in words
    assert (
        "95 % of the words that it labels correctly reach a probability of 0.310; so do 60 % of 50 test clips of other words."
        in words
    )
    assert "test age adults word 10 8 80.0 49.0 to 94.3" in words
    assert "by word: accuracy-word.tsv beside the card" in words
    assert (
        "16 words: zero, one, two, three, four, five, six, seven, eight, nine, alexa, computer, jarvis, smart_mirror, snow"
        in words
    )
    assert "there is no card of 'nowhere'" in refused(capsys, "models", "nowhere")


def test_models_as_json(capsys):
    assert main(["models", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {name: json.loads(msgspec.json.encode(read_card(zoo_folder() / name))) for name in zoo()}


def test_a_model_in_the_current_folder_is_found_and_nothing_else_there(tmp_path):
    (tmp_path / "mynet.py").write_text(NETWORK)
    (tmp_path / "helper_of_it.py").touch()
    for name in ("random", "torch", "click", "rich", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported from the current folder')")
    for command in (script(tmp_path), (sys.executable, "-m", "audiometamer")):
        done = ran(*command, "layers", "mynet:make", folder=tmp_path, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^ line +network\.line +2 +2 *$", done.stdout, re.MULTILINE)


def test_what_we_start_imports_nothing_from_the_current_folder(tmp_path):
    (tmp_path / "random.py").write_text("raise RuntimeError('imported from the current folder')")
    done = ran(*COMMAND, "status", "--help", folder=tmp_path, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    child = "import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', 'import random']).returncode)"
    program = f"import os; from audiometamer import cli; cli.main = lambda: exec({child!r}); cli.run()"
    done = ran(sys.executable, "-P", "-c", program, folder=tmp_path, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_modules_that_cannot_be_imported_or_are_others(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("broken_of_mine.py").write_text("def make(:\n")
    assert "model 'broken_of_mine:make': broken_of_mine cannot be imported (" in refused(capsys, "layers", "broken_of_mine:make")
    assert "absent_of_mine cannot be imported (No module named" in refused(capsys, "layers", "absent_of_mine:make")
    Path("wave.py").write_text("def make(): ...")
    assert re.search(r"wave \(.*wave\.py\) has no function make", refused(capsys, "layers", "wave:make"))


def test_the_current_folder_is_searched_only_if_needed_and_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", before := list(sys.path))
    assert loading._imported("wave").__name__ == "wave"
    assert sys.path == before
    Path("found_only_here.py").write_text("value = 3")
    assert loading._imported("found_only_here").value == 3
    assert sys.path[-1] == str(tmp_path)


def test_a_reader_that_has_gone_ends_the_command_quietly(tmp_path):
    for arguments in (["--help"], ["models"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, cwd=ROOT, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_one_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr == "audiometamer: error: the output cannot be written: No space left on device\n"


def test_an_interrupt_while_a_command_is_imported_ends_it(tmp_path):
    (tmp_path / "interrupted.py").write_text("import signal\ntry: signal.raise_signal(signal.SIGINT)\nfinally: print('caught')")
    program = "import sys; sys.path.append('.')\nfrom audiometamer import cli\nwith cli._interruptible(): import interrupted"
    done = ran(sys.executable, "-c", program, folder=tmp_path, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "audiometamer: interrupted\n")


def test_an_interrupt_of_a_command_is_an_exception(tmp_path):
    program = (
        "import signal; from audiometamer import cli\ntry:\n with cli._interruptible(): signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt: print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    assert ran(sys.executable, "-c", program, folder=tmp_path, text=True).stdout == "True\n"


@pytest.mark.parametrize("words", [["--help"], ["models"], ["published", "--help"], ["plan", "check", "--help"]], ids=" ".join)
def test_help_and_the_zoo_need_no_torch(tmp_path, words):
    """The whole help reads the module of every command."""
    program = (
        f"import sys; from audiometamer.cli import main; status = main({words})\n"
        "print(status, *sorted({'torch', 'scipy', 'matplotlib', 'soundfile', 'requests'} & sys.modules.keys()), file=sys.stderr)"
    )
    assert ran(sys.executable, "-c", program, folder=tmp_path, text=True).stderr == "0\n"


def test_options_that_are_read_without_torch_have_the_values_of_their_rooms():
    explore = audiometamer.get_command(click.Context(audiometamer), "explore")
    options = {(name, p.name): p for name in ("dimensions", "catalogue", "analyse") for p in explore.commands[name].params}
    assert tuple(options["dimensions", "method"].type.choices) == COMPONENT_METHODS
    assert tuple(options["catalogue", "method"].type.choices) == tuple(METHODS)
    assert options["catalogue", "steps"].default == STEPS
    assert tuple(options["analyse", "decision"].type.choices) == DECISION_RULES


def test_labels_and_names_with_brackets_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("[red]take.wav", [0.1 * (-1) ** (k // 20) for k in range(1000)], 4000)
    arguments = ["--model", "tiny_models:bracketed_model", "--layers", "relu0", "--steps", "2"]
    assert main(["synth", "[red]take.wav", *arguments]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\[red\]take +relu0 +0 .* (\[noise\]|\[/s\]|:smile:) \d\.\d\d +", out)
    assert "tiny knows 3 labels of task word: [noise], [/s], :smile:" in out


@pytest.mark.parametrize(
    "words",
    [("report", "n" * 300), ("layers", "n" * 300), ("synth", "n" * 300), ("status", "n" * 300), ("plan", "check", "n" * 300)],
    ids=" ".join,
)
def test_names_that_no_file_system_takes_are_one_short_line(capsys, words):
    line = refused(capsys, *words)
    assert "\n" not in line.strip()
    assert len(line) < 400
    assert "n" * 40 + "…" + "n" * 20 in line


@pytest.mark.parametrize("number", ["nan", "inf", "-1", "0", "1e300"])
def test_numbers_of_options_are_finite_and_in_range(capsys, tmp_path, number):
    out = tmp_path / "null.json"
    assert main(["null", str(tmp_path), "--model", "tiny_models:sound_model", "--memory", number, "--out", str(out)]) == 2
    assert "Invalid value for '--memory'" in capsys.readouterr().err
    assert not out.exists()


def test_a_text_file_without_end_is_not_read(capsys):
    assert "/dev/zero cannot be read: it is a device" in refused(capsys, "plan", "check", "/dev/zero")


def test_a_synthesis_whose_output_and_error_are_closed_is_made(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.random.default_rng(0).standard_normal(1000), 4000)
    command = f"{sys.executable} -m audiometamer synth a.wav --model tiny_models:sound_model --layers relu0 --steps 1 >&- 2>&-"
    assert ran("sh", "-c", command, folder=tmp_path).returncode == 0
    assert (tmp_path / "metamers/index.tsv").is_file()
