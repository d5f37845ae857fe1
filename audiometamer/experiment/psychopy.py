"""An experiment as condition files for PsychoPy."""

from collections.abc import Iterator
from pathlib import Path

from audiometamer.experiment.packed_page import LISTS, copy_sounds_and_pictures, page_session
from audiometamer.io.files import write_text
from audiometamer.io.tables import write_table
from audiometamer.listening import folder as layout
from audiometamer.listening.folder import Experiment
from audiometamer.listening.trials import TrialList
from audiometamer.version import __version__

_STIMULI = "stimuli"
PSYCHOPY_COLUMNS = ("stim_file", "stim_id", "duration", "list", "trial", "kind", "options", "correct_answer", "also_correct")


def write_psychopy(experiment: Experiment, folder: Path) -> None:
    """Write a condition file for each list, the sounds, the closed list and the texts."""
    copy_sounds_and_pictures(experiment, folder, sounds=_STIMULI)
    for one in experiment.lists.listeners:
        write_table(folder / LISTS / f"list_{one.number:03d}.csv", PSYCHOPY_COLUMNS, _rows(experiment, one))
    write_text(folder / layout.ANSWERS, "\n".join(experiment.answers) + "\n")
    for name, text in experiment.texts.items():
        write_text(folder / layout.TEXTS_FOLDER / f"{name}.md", text)
    write_text(folder / "README.md", _readme(experiment))


def _rows(experiment: Experiment, one: TrialList) -> Iterator[dict[str, object]]:
    """A row for each trial; catch trials appear as main trials, and every row names the list."""
    import soundfile

    session, design = page_session(experiment, one.number), experiment.design
    for trial, shown in zip(experiment.trials(one.number), session.trials, strict=True):
        correct = experiment.key[trial.stimulus].answer
        options = experiment.options(trial) if trial.options or trial.kind == "headphones" or experiment.design.compares else ""
        sound = soundfile.info(experiment.folder / layout.SOUNDS / f"{trial.stimulus}.wav")
        yield {
            "stim_file": f"{_STIMULI}/{trial.stimulus}.wav", "stim_id": trial.stimulus, "duration": sound.duration,
            "list": one.number, "trial": trial.trial, "kind": shown.kind, "options": options,
            "correct_answer": correct,
            "also_correct": [word for word in experiment.answers if word != correct and design.answers.same(word, correct)] or "",
        }  # fmt: skip


def _readme(experiment: Experiment) -> str:
    return f"""# {experiment.design.title}: condition files for PsychoPy

Made with audiometamer {__version__}.

**Keep these files on the experimenter's machine:** the column `correct_answer` of the condition files names right answers. What
each sound is stands only in the key of the experiment, which is not included.

- `{LISTS}/list_001.csv`, …: one for each listener, to be read by a loop of type "sequential". Columns, which become variables:
  `stim_file`, the sound; `stim_id`, its name; `duration`, s; `list` and `trial`, their numbers; `kind`: headphones, practice
  (with feedback), demonstration or main; `options`: the answers, where these are not the closed list; `correct_answer`;
  `also_correct`: other answers that count as it.
- `stimuli/`: the sounds, and `{layout.CALIBRATION_NOISE}.wav` to set the level by.
- `{layout.ANSWERS}`: the closed list. `{layout.TEXTS_FOLDER}/`: consent, instructions and debriefing.

Keep the columns of the condition files in what PsychoPy saves, as it does by default. Its CSV files go back into the experiment:

    audiometamer experiment collect EXPERIMENT data/*.csv --response key_resp.keys
"""
