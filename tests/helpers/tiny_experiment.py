"""A small stimulus set, a design for it, the experiment that comes out, and what listeners send."""

import sqlite3
from pathlib import Path

import tiny_stimuli as tiny

from audiometamer.experiment.build import build
from audiometamer.stimuli.set import write_set

WORDS = ("apple", "bread", "chair", "dog", "eagle", "fish", "goat", "house", "ink", "juice", "kite", "lamp")
LAYERS = ("relu0", "relu1")
# What would name a condition; no page may get it.
SECRETS = ("tiny", "natural", "catch", "missing", "condition", "recognised", "originals", "metamer.wav", "_slt", "_rms", *LAYERS)
DESIGN = """
title = "Words in noise"
listeners = 6
seed = 1

[headphones]
trials = 2
minimum = 1

[practice]
trials = 1

[demonstration]
trials = 2
minimum = 1

[catch]
trials = 2

[clips]
speaker = "voice"

[[questions]]
name = "age"
text = "How old are you?"
kind = "number"

[[questions]]
name = "remarks"
text = "Anything else?"
"""


def write_stimuli(folder: Path, words=WORDS, voices=("slt", "rms"), **settings) -> Path:
    clips = [f"{word}_{voice}" for word in words for voice in voices]
    tiny.write_items(folder, clips=clips, layers=LAYERS, **settings)
    write_set(folder, clips=tiny.write_clips(folder.parent / "clips.csv", clips))
    return folder


def write_design(folder: Path, text=DESIGN) -> Path:
    path = folder / "design.toml"
    path.write_text(text, encoding="utf-8")
    return path


def write_names_key(folder: Path, digits: str = "0123456789abcdef" * 4) -> Path:
    """A private key, for experiments that are the same each time."""
    path = folder / "names.key"
    path.write_text(digits + "\n")
    return path


def build_experiment(folder: Path, text=DESIGN) -> Path:
    """Set, design and experiment in one folder."""
    stimuli = write_stimuli(folder / "set")
    build(stimuli, write_design(folder, text), folder / "experiment", key=write_names_key(folder))
    return folder / "experiment"


def key_of(*parts) -> str:
    """An idempotent key, the same for the same parts."""
    return "-".join(map(str, parts)).ljust(16, "_")


def answer_message(trial, answer, **changes) -> dict:
    """What the page sends for a trial of a list."""
    message = {
        "kind": "answer", "key": key_of("trial", trial.trial), "trial": trial.trial, "stimulus": trial.stimulus, "answer": answer,
        "reaction_time_ms": 812.5, "plays": 1, "started": "2026-03-01T10:00:00.000+01:00", "answered": "2026-03-01T09:00:02Z",
        "playback": {"sample_rate": 48000},
    }  # fmt: skip
    return {**message, **changes}


def form_message(form, **content) -> dict:
    return {"kind": "form", "key": key_of("form", form), "form": form, "content": content}


def right(experiment, trial) -> str:
    return experiment.key[trial.stimulus].answer


def wrong(experiment, trial) -> str:
    return next(answer for answer in experiment.options(trial) if answer != right(experiment, trial))


def all_messages(experiment, number, *, answer=right, n=None) -> list[dict]:
    """What a listener sends from consent to the last trial, or the nth, and the questions after."""
    answers = [answer_message(trial, answer(experiment, trial)) for trial in experiment.trials(number)[:n]]
    return [form_message("consent"), *answers, form_message("questions-after", age=30, remarks="=1+1 ünïcode \u2028")]


def contents(store):
    with sqlite3.connect(store.path) as db:
        return db.execute("SELECT listener, key, kind, trial, content FROM messages ORDER BY rowid").fetchall()


def wav_header(content):
    """All that a WAV says beside its samples, which are the rest of it."""
    start = content.index(b"data") + 8
    assert len(content) - start == int.from_bytes(content[start - 4 : start], "little")
    return content[:start].decode("latin-1")
