"""What a listener cannot find out who has the package, the set, the design with its seed, and all that a browser gets."""

import io
import itertools
import json
import shutil

import msgspec
import numpy as np
import pytest
import soundfile
from tiny_experiment import DESIGN, LAYERS, WORDS, write_design, write_stimuli

from audiometamer.cli import main
from audiometamer.experiment.available import NATURAL_CONDITION, Condition
from audiometamer.experiment.build import build
from audiometamer.experiment.design import Catch, Design, Practice
from audiometamer.experiment.lists import Words, draw_trials
from audiometamer.experiment.reading import read_experiment
from audiometamer.experiment.sounds import Stimulus
from audiometamer.io.draws import Draws, keyed_draws, read_key
from audiometamer.listening.building import check_trials, headphone_checks
from audiometamer.listening.design import ResponseFormat
from audiometamer.listening.gates import Demonstration, Headphones
from audiometamer.listening.headphones import huggins
from audiometamer.listening.session import session_of
from audiometamer.listening.state import ListenerState
from audiometamer.listening.trials import ARRANGEMENTS, interval_order
from audiometamer.signals.presentation import PresentationSettings, in_sequence, pcm_wav

CLIPS = [f"{word}_{voice}" for word in WORDS for voice in ("slt", "rms")]
CONDITIONS = [NATURAL_CONDITION, *(Condition("tiny", layer, 0) for layer in LAYERS)]
GUESSES = (None, b"", b"1", b"names.key", bytes(32))  # none: as before there were keys


def visible(experiment, number):
    """The trials of a session, as a browser gets them."""
    session = session_of(experiment, ListenerState(0, number, 1, None, frozenset()), None)
    assert b"seed" not in msgspec.json.encode(session)
    return json.loads(msgspec.json.encode(session))["trials"]


def decoded(trials, draws, kind="typed"):
    """Trials of which these draws say what is heard."""
    sounds = {
        draws.name(repr(Stimulus(clip, condition, arrangement)))
        for clip, condition in itertools.product(CLIPS, CONDITIONS)
        for arrangement in range(ARRANGEMENTS.get(kind, 1))
    }
    checks = {draws.name(f"headphones {k}") for k in range(10)}
    return [trial["trial"] for trial in trials if trial["stimulus"] in sounds | checks]


def test_no_name_says_what_is_heard_to_who_lacks_the_key(experiment, folder):
    for number in (1, 6):
        trials = visible(experiment, number)
        assert len(trials) == 14
        assert decoded(trials, Draws(1, read_key(folder / "names.key"))) == list(range(1, 15))  # who has it finds all
        for seed, key in itertools.product(range(5), GUESSES):
            assert decoded(trials, Draws(seed, key)) == []


def test_each_build_has_a_key_of_its_own(tmp_path, folder, monkeypatch, capsys):
    """From the same set, design and seed; and the same files from the same key."""
    stimuli, design = folder.parent / "set", write_design(tmp_path, DESIGN.replace("listeners = 6", "listeners = 1"))
    monkeypatch.setattr("audiometamer.listening.building.write_page", lambda page, _sentences: page.mkdir())
    for name, more in (("a", []), ("b", []), ("c", ["--names-key", f"{tmp_path}/a/names.key"])):
        assert main(["experiment", "build", str(stimuli), "--design", str(design), "--out", f"{tmp_path}/{name}", *more]) == 0
    a, b, c = ({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()} for name in "abc")
    assert {name for name in a if a[name] != c[name]} == {"results.secret"}
    assert {name for name in a if name.endswith(".wav")} & set(b) == {"calibrationnoise.wav"}
    assert a["calibrationnoise.wav"] != b["calibrationnoise.wav"]
    assert "names.key" in capsys.readouterr().out


def foreseen(design, draws):
    """What a listener would answer, by draws that they guess: headphone checks and the intervals of the other trials."""
    checks = headphone_checks(design, draws)
    heard, _ = check_trials(1, [*checks], draws)
    words = [[f"w{w}"] for w in range(24)]
    (planned,) = draw_trials(Words(words), CONDITIONS[1:], design, draws)
    right = [interval_order(design.answers.kind, trial.arrangement)[1] for trial in planned]
    return [checks[trial.stimulus].answer for trial in heard], right, [trial.condition for trial in planned]


@pytest.mark.parametrize(("kind", "chance"), [("abx", 2), ("odd-one-out", 3)])
def test_no_answer_and_no_condition_can_be_computed_from_the_seed(kind, chance):
    """Whatever is guessed in the place of the key is right as often as by chance."""
    design = Design(
        "x", 1, seed=1, answers=ResponseFormat(kind=kind), headphones=Headphones(trials=6), practice=Practice(0),
        demonstration=Demonstration(0), catch=Catch(0),
    )  # fmt: skip
    guessed = [foreseen(design, Draws(1, key)) for key in GUESSES]
    right, of = [0, 0, 0], [0, 0, 0]
    for _ in range(150):
        true = foreseen(design, keyed_draws(1, None))
        for guess in guessed:
            for k, (one, other) in enumerate(zip(true, guess, strict=True)):
                right[k] += sum(a == b for a, b in zip(one, other, strict=True))
                of[k] += len(one)
    for hits, n, p in zip(right, of, (1 / 3, 1 / chance, 1 / 2), strict=True):
        # Balanced draws and shared guesses scatter less than twice as much as independent ones.
        assert abs(hits / n - p) < 6 * 2 * np.sqrt(p * (1 - p) / n), (hits, n)


def test_the_noise_of_the_headphone_check_cannot_be_made_again(experiment, folder):
    """Who could, would subtract it: for each possible answer, and see where nothing is left."""
    checks = [name for name, entry in experiment.key.items() if entry.condition == "headphones"]

    def left(name, seed, answer):
        sound = soundfile.read(folder / "sounds" / f"{name}.wav")[0]
        made = huggins(answer, sample_rate=48_000, rms=10 ** (-30 / 20), seed=seed)
        return np.sqrt(np.mean((sound - made) ** 2)) / np.sqrt(np.mean(sound**2))

    name, answer = sorted(checks)[0], int(experiment.key[sorted(checks)[0]].answer)
    assert left(name, Draws(1, read_key(folder / "names.key")).subseed(5, 0), answer) < 1e-4
    for seed in (0, 1, 2, 3, Draws(1, b"").subseed(5, 0)):
        assert left(name, seed, answer) > 1


def test_dates_and_sizes_and_headers_of_sounds_tell_nothing(folder, experiment):
    paths = list((folder / "sounds").iterdir())
    assert len({path.stat().st_mtime_ns for path in paths}) == 1
    sounds = [folder / "sounds" / f"{name}.wav" for name, entry in experiment.key.items() if entry.file]
    assert len({path.read_bytes()[:44] for path in sounds}) == 1
    assert len({path.read_bytes() for path in sounds}) == len(sounds)


def intervals(wav, n, settings, gap):
    """The samples of each interval and of the silence between them, in steps."""
    sound = soundfile.read(io.BytesIO(wav), dtype="int32")[0] >> (32 - settings.bits)
    size = (len(sound) - (n - 1) * gap) // n
    starts = [k * (size + gap) for k in range(n)]
    return [sound[start : start + size] for start in starts], [sound[start + size : start + size + gap] for start in starts[:-1]]


@pytest.mark.parametrize("bits", [16, 24])
def test_no_interval_is_a_copy_of_another(bits):
    """X is A once more, and no run of its samples is: each interval has dither of its own, that nobody can subtract."""
    settings, key = PresentationSettings(bits=bits), bytes(range(32))
    size, gap = 24_000, 4_800
    a, b = (0.05 * np.random.default_rng(k).standard_normal(size) for k in (0, 1))
    whole = in_sequence([a, b, a], gap / settings.sample_rate, settings)
    parts, silences = intervals(pcm_wav(whole, settings, name="x", draws=Draws(1, key)), 3, settings, gap)
    first, _, last = parts
    for one, other in itertools.combinations([*parts, *silences], 2):
        different = np.flatnonzero(one[:gap] != other[:gap])
        assert np.diff([-1, *different, gap]).max() < 40, "no long run of equal samples"
    # The rest after dithering and rounding: variance 1/4 of a step whatever the sound (1/6 + 1/12), and none of it in common.
    errors = [part - sound / settings.step for part, sound in ((first, a), (last, a), (parts[1], b))]
    for error in errors:
        assert error.var() == pytest.approx(1 / 4, rel=0.05)
    assert abs(np.corrcoef(errors[0], errors[1])[0, 1]) < 6 / np.sqrt(size)
    assert (last - first).var() == pytest.approx(1 / 2, rel=0.05)
    for sound, error in ((a, errors[0]), (a, errors[1]), (b, errors[2])):
        snr = 10 * np.log10(np.mean((sound / settings.step) ** 2) / np.mean(error**2))
        assert snr == pytest.approx(10 * np.log10(4 * 0.05**2 / settings.step**2), abs=0.2)
    assert all(0 < np.mean(silence != 0) < 0.5 for silence in silences)
    # Who guesses another key subtracts other dither, and is left with more, not with less.
    for guess in (Draws(1, None), Draws(1, b""), Draws(0, key)):
        made, _ = intervals(pcm_wav(whole, settings, name="x", draws=guess), 3, settings, gap)
        assert (first - made[0]).var() == pytest.approx(1 / 2, rel=0.1)


def test_an_experiment_that_was_built_before_there_were_keys_is_served_as_it_was(folder, tmp_path):
    old = shutil.copytree(folder, tmp_path / "old")
    (old / "names.key").unlink()
    lists = json.loads((old / "lists.json").read_text())
    del lists["keyed"]
    (old / "lists.json").write_text(json.dumps(lists))
    read = read_experiment(old)
    assert visible(read, 2) == visible(read_experiment(folder), 2)
    assert main(["experiment", "pack", str(old), "--to", "static", "--out", str(tmp_path / "page")]) == 0


def test_a_key_that_is_none_is_refused_before_anything_is_made(tmp_path, folder, capsys):
    (tmp_path / "bad.key").write_text("secret")
    design = write_design(tmp_path)
    asked = ["experiment", "build", folder.parent / "set", "--design", design, "--out", tmp_path / "out"]
    assert main([*map(str, asked), "--names-key", str(tmp_path / "bad.key")]) == 2
    assert "bad.key is no key: it must hold 32 or more hexadecimal digits" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_natural_clip_that_stands_in_is_not_the_same_file_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.listening.building.write_page", lambda page, _sentences: page.mkdir())
    stimuli = write_stimuli(tmp_path / "set", failed=[(f"{word}_{voice}", "relu1") for word in WORDS for voice in ("slt", "rms")])
    design = write_design(tmp_path, DESIGN.replace("[catch]", '[conditions]\nmissing = "natural"\n\n[catch]'))
    build(stimuli, design, tmp_path / "out")
    key = read_experiment(tmp_path / "out").key
    files: dict[str, list[str]] = {}
    for name, entry in key.items():
        files.setdefault(entry.file, []).append(name)
    several = [names for file, names in files.items() if file and len(names) > 1]
    assert several
    for names in several:
        assert len({(tmp_path / "out" / "sounds" / f"{name}.wav").read_bytes() for name in names}) == len(names)
