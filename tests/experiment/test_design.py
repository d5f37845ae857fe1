"""What a design says, and the place of every mistake in it."""

import re
from pathlib import Path
from unittest.mock import ANY

import msgspec
import pytest
from tiny_experiment import DESIGN, write_design

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.design import Design, read_design
from audiometamer.listening.design import TEXTS, read_answer_list, read_text


def with_table(text):
    """A change of the design: some more of it."""
    return "[catch]", f"{text}\n[catch]"


def mistake(folder, text):
    path = write_design(folder, text)
    with pytest.raises(AudioMetamerError) as error:
        read_design(path)
    message = str(error.value)
    assert message.startswith(str(path))
    return message.removeprefix(f"{path}").replace(f"{folder}/", "")


def mistakes(folder, text):
    """The lines of all that is wrong, and what it is, under the places."""
    headline, *listed = mistake(folder, text).splitlines()
    assert headline == f": {len(listed)} things are wrong:"
    return [re.fullmatch(r"  (?:line (\d+): )?(.*)", line).groups() for line in listed]


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (("title", "titel"), ": there is no key 'titel'; did you mean 'title'?"),
        (('title = "Words in noise"', ""), ": the key 'title' is missing"),
        (("listeners = 6", "listeners = 0"), ": listeners: must be an integer >= 1"),
        (("listeners = 6", "listeners = 'six'"), ": listeners: must be an integer, not a string"),
        (("seed = 1", "seed = -1"), ": seed: must be an integer >= 0"),
        (("seed = 1", 'balance = "random"'), ": balance: Invalid enum value 'random'"),
        (("minimum = 1", "minium = 1"), ": headphones: there is no key 'minium'; did you mean 'minimum'?"),
        (("minimum = 1", "minimum = 3"), ": headphones.minimum: 3 right answers of 2 trials cannot be reached"),
        (("trials = 2", "trials = 44100"), ": headphones.trials: must be an integer <= 1000"),
        (("minimum = 1\n\n[catch]", "minimum = 3\n\n[catch]"), ": demonstration.minimum: 3 right answers"),
        (with_table("[conditions]\nlayers = ['a', 'a']"), ": conditions.layers: 'a' appears twice"),
        (with_table("[conditions]\nseeds = [0, -2]"), ": conditions.seeds[1]: must be an integer >= 0"),
        (with_table("[sounds]\nsample_rate = 20000"), ": sounds: sample rate is 20000 Hz; it must be 44100 or 48000"),
        (with_table("[sounds]\nlevel = 3"), ": sounds: level is 3.0 dB re full scale; it must be from -100 to 0"),
        (with_table("[answers]\nalternatives = 3"), ": answers.alternatives: it is for kind = 'choice'"),
        (with_table("[answers]\npictures = 'p'"), ": answers.pictures: it is for kind = 'choice'"),
        (with_table("[answers]\nlist = 'no.txt'"), ": answers.list: no.txt cannot be read as text: No such file"),
        (with_table("[texts]\nconsent = 'no.md'"), ": texts.consent: no.md cannot be read as text: No such file"),
        (with_table("[completion]\nfinished = 'javascript:x'"), ": completion.finished: 'javascript:x' is not an address"),
        (with_table("[completion]\nstopped = 'https://['"), ": completion.stopped: 'https://[' is not an address"),
        (('name = "age"', 'name = "Age!"'), ": questions[0].name: must be a string matching regex"),
        (('name = "remarks"', 'name = "age"'), ": questions[1]: name: 'age' is taken; choose another"),
        (('name = "remarks"', 'name = "finished"'), ": questions[1]: name: 'finished' is taken; choose another"),
        (('text = "Anything else?"', 'text = ""'), ": questions[1].text: must be a string of length >= 1"),
        (('kind = "number"', 'kind = "choice"'), ": questions[0]: options: kind = 'choice' needs options"),
        (('kind = "number"', 'options = ["a"]'), ": questions[0]: options: kind = 'text' has no options"),
        (('kind = "number"', 'kind = "choice"\noptions = ["a", "a"]'), ": questions[0]: options: 'a' appears twice"),
        (('kind = "number"', 'kind = "choice"\nchoices = ["a"]'), ": questions[0]: there is no key 'choices'"),
        (("[catch]", "[catch"), " is not TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(tmp_path, change, output):
    assert change[0] in DESIGN
    message = mistake(tmp_path, DESIGN.replace(change[0], change[1], 1))
    assert message.startswith(output)
    assert "\n" not in message


def test_all_mistakes_are_reported_together_with_their_lines(tmp_path):
    text = """titel = "Words"
listeners = "six"
colour = 1
[headphones]
minimum = 7
[practice]
trials = -1
[answers]
kind = "abx"
[conditions]
natural = true
missing = "natural"
layers = ["a", "a"]
[texts]
consent = "no.md"
debriefing = \"\"\"
[not.a.table]
\"\"\"
[[questions]]
name = "age"
text = "How old?"
[[questions]]
name = "age"
text = "How old?"
kind = "colour"
[catch]
trials = 3
"""
    assert mistakes(tmp_path, text) == [
        (None, "demonstration.conditions: kind = 'abx' compares metamers; it must be all"),
        ("1", "there is no key 'titel'; did you mean 'title'?"),
        ("2", "listeners: must be an integer, not a string"),
        ("3", "there is no key 'colour'"),
        ("5", "headphones.minimum: 7 right answers of 6 trials cannot be reached"),
        ("7", "practice.trials: must be an integer >= 0"),
        ("11", "conditions.natural: kind = 'abx' compares metamers with natural clips; these are no condition of their own"),
        ("12", "conditions.missing: kind = 'abx' cannot compare a clip with itself; it must be leave-out"),
        ("13", "conditions.layers: 'a' appears twice"),
        ("15", "texts.consent: no.md cannot be read as text: No such file or directory"),
        ("16", ANY),
        ("25", "questions[1].kind: Invalid enum value 'colour'; choose 'text', 'number' or 'choice'"),
        ("27", "catch.trials: kind = 'abx' compares metamers, catch trials are natural clips; set it to 0"),
    ]
    assert (
        main(["experiment", "build", str(tmp_path), "--design", str(tmp_path / "design.toml"), "--out", str(tmp_path / "e")]) == 2
    )


@pytest.mark.parametrize(("kept", "other"), [("practice", "demonstration"), ("demonstration", "practice")])
def test_natural_clips_alone_cannot_be_compared(tmp_path, kept, other):
    text = DESIGN.replace("[catch]\ntrials = 2", "[answers]\nkind = 'abx'\n[catch]\ntrials = 0")
    text = text.replace(f"[{other}]\n", f"[{other}]\nconditions = 'all'\n")
    line = text.splitlines().index(f"[{kept}]") + 1
    assert mistake(tmp_path, text) == f": {kept}.conditions: kind = 'abx' compares metamers; it must be all (line {line})"


def test_a_design_that_cannot_be_read(tmp_path):
    with pytest.raises(AudioMetamerError, match=r"design\.toml cannot be read: No such file"):
        read_design(tmp_path / "design.toml")
    (tmp_path / "design.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(AudioMetamerError, match="is not TOML"):
        read_design(tmp_path / "design.toml")


def test_the_shortest_design_is_that_of_2023_with_a_latin_square(tmp_path):
    design = read_design(write_design(tmp_path, 'title = "x"\nlisteners = 20'))
    assert design.gates == {"headphones": (6, 5, "stop"), "demonstration": (12, 5, "stop")}
    assert (design.balance, design.natural, design.once, design.answer_column) == ("latin", True, "word", "word")
    assert all(read_text(tmp_path / "design.toml", design, name).startswith("# ") for name in TEXTS)


@pytest.mark.parametrize(("content", "output"), [(b"", "is empty"), (b"\xff", "cannot be read as text"), (b" \n", "is empty")])
def test_a_text_that_is_none(tmp_path, content, output):
    (tmp_path / "consent.md").write_bytes(content)
    assert output in mistake(tmp_path, DESIGN + '[texts]\nconsent = "consent.md"\n')


@pytest.mark.parametrize(
    ("content", "output"), [("", "names no answer"), ("a\nb\na", "'a' appears twice"), (b"\xff", "cannot be read as text")]
)
def test_a_list_that_is_none(tmp_path, content, output):
    path = tmp_path / "words.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(AudioMetamerError, match=output):
        read_answer_list(path)


def test_a_list_may_have_empty_lines_and_the_marks_of_windows(tmp_path):
    (tmp_path / "words.txt").write_bytes("\ufeffzwölf\r\n\r\n one \r\n".encode())
    assert read_answer_list(tmp_path / "words.txt") == ["zwölf", "one"]


def test_every_key_of_a_design_is_described():
    def structs(kind):
        yield kind
        for field in msgspec.inspect.type_info(kind).fields:
            inner = field.type
            inner = getattr(inner, "item_type", inner)
            if isinstance(inner, msgspec.inspect.StructType):
                yield from structs(inner.cls)

    for kind in structs(Design):
        if kind.__name__ != "Texts":
            assert all(name in kind.__doc__ for name in kind.__struct_fields__), kind


def test_the_design_of_the_documentation(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text(encoding="utf-8")
    (design,) = re.findall(r"<!-- test: design -->\n```toml\n(.*?)```", text, re.DOTALL)
    read = read_design(write_design(tmp_path, design))
    shortest = read_design(write_design(tmp_path, 'title = "Words"\nlisteners = 20'))
    own = {"breaks": shortest.breaks, "questions": [], "completion": shortest.completion, "conditions": shortest.conditions}
    assert msgspec.structs.replace(read, **own) == shortest
    for kind in (Design, type(read.answers), type(read.conditions), type(read.headphones), type(read.texts)):
        assert all(name in design for name in kind.__struct_fields__), "every key is shown"
