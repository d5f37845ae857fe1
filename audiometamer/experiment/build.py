"""Build an experiment from a stimulus set and a design: lists, key, sounds, texts and page, all before the first listener."""

import re
import secrets
import shutil
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.errors import AudioMetamerError, did_you_mean
from audiometamer.experiment.design import Conditions, Design, read_design
from audiometamer.experiment.lists import Planned, alternatives, check_words, draw
from audiometamer.experiment.offer import NATURAL, AvailableStimuli, Condition, answers_of, read_offer, told
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws, write_key
from audiometamer.io.files import atomic_folder, json_text, write_private, write_text
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import write_table
from audiometamer.io.toml_files import Problem, error_context, problems_raised, toml_text
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_trials, copied_texts, headphone_checks, write_checks, write_texts
from audiometamer.listening.design import INTERVALS, read_answer_list, read_sentences
from audiometamer.listening.folder import interval_choices
from audiometamer.listening.headphones import GAP_SECONDS
from audiometamer.listening.messages import MAX_ANSWER_LENGTH
from audiometamer.listening.pages import write_page
from audiometamer.listening.trials import ConditionKey, KeyEntry, Lists, Trial, TrialList, interval_order
from audiometamer.signals.presentation import NOISE, Sounds, in_sequence, write_pcm
from audiometamer.stimuli.layout import MANIFEST
from audiometamer.version import __version__


class Stimulus(NamedTuple):
    """What one sound of the experiment is; see `Planned`."""

    clip: str
    condition: Condition
    arrangement: int


class Built(NamedTuple):
    """What was built, for those who look at it.

    Parameters
    ----------
    design : Design
        With everything that it left open filled in.
    offer : Offer
    lists : list of list of Planned
        For each listener, without the headphone check.
    unheard : int
        Words that nobody hears.
    """

    design: Design
    offer: AvailableStimuli
    lists: list[list[Planned]]
    unheard: int


def build(stimulus_set: Path, design: Path, out: Path, *, key: Path | None = None) -> Built:
    """Make an experiment's folder; see `audiometamer.listening.folder`.

    The same set, design, seed and private key give the same files, but for the secret that opens the results. Who lacks the key
    can compute no name, no order and no right answer.

    Parameters
    ----------
    stimulus_set : path
    design : path
        See `audiometamer.experiment.design.Design`.
    out : path
    key : path, optional
        Private key, as ``names.key`` of an experiment. Default: a fresh one.

    Raises
    ------
    AudioMetamerError
        If `out` exists, the private key cannot be read, something is wrong with the design, the set does not have what it asks
        for, or a sound cannot be read, is silent or would clip.
    """
    if out.exists():
        raise AudioMetamerError(f"{out} exists; nothing is overwritten: choose another --out")
    asked = read_design(design)
    draws = keyed_draws(asked.seed, key)
    offer = read_offer(stimulus_set, design, asked, partial(_problems, design, asked))
    answers = _answers(design, asked, offer)
    words = offer.words(asked.once)
    with error_context(design, "trials"):
        planned = draw(words, offer.conditions, asked, draws)
    resolved = _resolved(asked, offer, planned)
    heard = {told(offer.about[trial.clip], asked.once) or trial.clip for trials in planned for trial in trials}
    stimuli = sorted({Stimulus(trial.clip, trial.condition, trial.arrangement) for trials in planned for trial in trials})
    sounds = {stimulus: draws.name(repr(stimulus)) for stimulus in stimuli}
    checks = headphone_checks(asked, draws)
    if len({*sounds.values(), *checks}) < len(sounds) + asked.headphone_trials:
        raise AudioMetamerError(f"{design}: seed: two sounds would have the same name; choose another")
    entries = {name: _entry(stimulus, offer, asked) for stimulus, name in sounds.items()} | checks
    with atomic_folder(out) as folder:
        rms = _write_sounds(folder / layout.SOUNDS, stimulus_set, sounds, offer, resolved, draws)
        write_checks(folder / layout.SOUNDS, checks, resolved, draws, rms=rms)
        equalize_mtimes((folder / layout.SOUNDS).iterdir())
        write_texts(folder, design, asked)
        _write_answers(folder, design, asked, answers)
        write_page(folder / layout.PAGE, read_sentences(design, asked))
        write_text(folder / layout.DESIGN, toml_text(resolved))
        write_table(folder / layout.MISSING, ("clip", "model", "layer", "seed", "reason", "instead"), _missing_rows(offer, asked))
        write_private(folder / layout.KEY, json_text({name: entries[name] for name in sorted(entries)}))
        write_key(folder / layout.NAMES_KEY, draws)
        write_private(folder / layout.SECRET, secrets.token_urlsafe(24) + "\n")
        lists = [_list(k, trials, sounds, [*checks], entries, answers, asked, draws) for k, trials in enumerate(planned, start=1)]
        manifest = stimulus_set / MANIFEST
        sums = file_sha256(manifest) if manifest.exists() else None
        write_text(folder / layout.LISTS, json_text(Lists(asked.seed, __version__, sums, lists, keyed=True)))
    return Built(resolved, offer, planned, len(words) - len(heard))


def _answers(path: Path, design: Design, offer: AvailableStimuli) -> list[str]:
    """The closed list, and the words that count as one of it where answers are typed."""
    if design.compares:
        return interval_choices(design.answers.kind)
    answers = _listed(path, design, offer)
    return [*answers, *_more(design, answers)]


def _listed(path: Path, design: Design, offer: AvailableStimuli) -> list[str]:
    """The closed list of the design, or what the set's clips say."""
    named = design.answers.list
    return answers_of(offer, design.answer_column) if named is None else read_answer_list(path.parent / named)


def _more(design: Design, answers: Sequence[str]) -> list[str]:
    """The words that count as an answer and are not in the list."""
    return [word for words in design.answers.equal.values() for word in words if word not in answers]


def _problems(path: Path, design: Design, offer: AvailableStimuli) -> Iterator[Problem]:
    """All that is wrong with a design that lies at `path`, given what the set offers."""
    if offer.clips and offer.has(design.once):
        yield from problems_raised("trials", partial(check_words, len(offer.words(design.once)), design))
    if design.compares or not (listed := _listed(path, design, offer)):
        return
    if lacking := [answer for answer in answers_of(offer, design.answer_column) if answer not in listed]:
        yield Problem("answers.list", f"it lacks {lacking[0]!r}, the right answer to a clip{_and_more(lacking)}")
    yield from _unknown("equal", design.answers.equal, listed)
    more = _more(design, listed)
    if more and design.answers.kind != "typed":
        yield Problem("answers.equal", f"{more[0]!r} is not in the list of answers{_and_more(more)}; nobody can choose it")
    answers = [*listed, *more]
    yield from _unknown("names", design.answers.names, answers)
    yield from (Problem("answers.list", message) for message in _unfit(answers, design))
    different = min(len(design.answers.others(answer, answers)) for answer in answers) + 1
    if (design.answers.alternatives or 0) > different:
        yield Problem("answers.alternatives", f"{design.answers.alternatives} are wanted of a list of {different}")
    if design.answers.pictures is not None:
        pictures = [path.parent / design.answers.pictures / f"{answer}.png" for answer in answers]
        if absent := [picture for picture in pictures if not picture.is_file()]:
            yield Problem("answers.pictures", f"{absent[0]} does not exist{_and_more(absent)}")


def _and_more(found: Sequence[object]) -> str:
    """How many there are beside the first."""
    return f", and {len(found) - 1} more" if len(found) > 1 else ""


def _unknown(key: str, words: Iterable[str], answers: Sequence[str]) -> Iterator[Problem]:
    """Words of a table of answers that are none of the list."""
    for word in words:
        if word not in answers:
            yield Problem(f"answers.{key}", f"{word!r} is none of the answers{did_you_mean(word, answers)}", word)


def _unfit(answers: Sequence[str], design: Design) -> Iterator[str]:
    """Why listeners cannot choose among some answers."""
    if len(answers) < 2:
        yield f"{answers[0]!r} is the only answer; there must be at least two"
    if too_long := [answer for answer in answers if len(answer) > MAX_ANSWER_LENGTH]:
        yield (
            f"{too_long[0][:20]!r}… has {len(too_long[0])} letters{_and_more(too_long)}; an answer may have {MAX_ANSWER_LENGTH}"
        )
    entries: dict[str, str] = {}
    told: set[str] = set()
    for answer in answers:
        shown = design.answers.display_name(answer)
        typed = design.answers.kind == "typed"
        for entry in {_as_typed(answer), _as_typed(shown)} if typed else {shown}:
            if (other := entries.setdefault(entry, answer)) != answer and answer not in told:
                told.add(answer)
                same = "the same to who types them" if typed else f"both shown as {shown!r}"
                yield f"{other!r} and {answer!r} are {same}; keep one of them"


def _as_typed(answer: str) -> str:
    """What counts of an answer that is typed; the page's plugin `typed` does the same."""
    plain = unicodedata.normalize("NFKC", re.sub("[‘’ʼ´`]", "'", answer))
    return " ".join(plain.lower().split())


def _resolved(design: Design, offer: AvailableStimuli, planned: Sequence[Sequence[Planned]]) -> Design:
    """A design with everything filled in that it left open, and its files as seen from the experiment's folder."""
    metamers = [condition for condition in offer.conditions if condition != NATURAL]
    conditions = Conditions(
        natural=design.natural,
        models=list(dict.fromkeys(condition.model for condition in metamers)) or None,
        layers=list(dict.fromkeys(condition.layer for condition in metamers)) or None,
        seeds=list(dict.fromkeys(condition.seed for condition in metamers if condition.seed is not None)) or None,
        selection=None if design.conditions.selection is None else "selection.tsv",
        failed=design.conditions.failed,
        missing=design.conditions.missing,
    )
    answers = msgspec.structs.replace(
        design.answers,
        list=None if design.compares else layout.ANSWERS,
        pictures=None if design.answers.pictures is None else layout.PICTURES,
    )
    return msgspec.structs.replace(
        design,
        trials=sum(trial.kind == "main" for trial in planned[0]),
        conditions=conditions,
        answers=answers,
        clips=msgspec.structs.replace(design.clips, once=design.once),
        texts=copied_texts(design),
    )


def _parts(stimulus: Stimulus, offer: AvailableStimuli, kind: str) -> tuple[list[str], str]:
    """The files of the set that are played one after the other; the right answer where natural clip and metamer are compared."""
    metamer = offer.source(stimulus.clip, stimulus.condition).file
    if kind not in INTERVALS:
        return [metamer], ""
    pair = [offer.source(stimulus.clip, NATURAL).file, metamer]
    order, right = interval_order(kind, stimulus.arrangement)
    return [pair[k] for k in order], right


def _entry(stimulus: Stimulus, offer: AvailableStimuli, design: Design) -> KeyEntry:
    """A line of the key."""
    clip, condition = stimulus.clip, stimulus.condition
    source, about = offer.source(clip, condition), offer.about[clip]
    _, interval = _parts(stimulus, offer, design.answers.kind)
    return KeyEntry(
        file=source.file,
        condition="natural" if condition.seed is None else ConditionKey(condition.model, condition.layer, condition.seed),
        clip=clip,
        word=told(about, design.clips.word),
        speaker=told(about, design.clips.speaker),
        missing=offer.is_missing(clip, condition),
        recognised_by=source.recognised_by,
        answer=interval or about[design.answer_column],
    )


def _list(
    number: int,
    planned: Sequence[Planned],
    sounds: Mapping[Stimulus, str],
    checks: Sequence[str],
    key: Mapping[str, KeyEntry],
    answers: Sequence[str],
    design: Design,
    draws: Draws,
) -> TrialList:
    """One listener's list, the headphone check first."""
    trials, generator = check_trials(number, checks, draws)
    for one in planned:
        name = sounds[Stimulus(one.clip, one.condition, one.arrangement)]
        n = design.answers.alternatives
        right = key[name].answer
        options = [] if n is None else alternatives(right, design.answers.others(right, answers), n, generator)
        trials.append(Trial(0, one.kind, name, options))
    return TrialList(number, [msgspec.structs.replace(trial, trial=k) for k, trial in enumerate(trials, start=1)])


def _write_sounds(
    folder: Path, stimulus_set: Path, names: Mapping[Stimulus, str], offer: AvailableStimuli, design: Design, draws: Draws
) -> float:
    """Every sound under its opaque name, in the order of these names, and the noise by which the level is set; its RMS."""
    parts = {name: _parts(stimulus, offer, design.answers.kind)[0] for stimulus, name in names.items()}
    settings = design.sounds.settings(design.seed)
    sounds = Sounds(stimulus_set, settings, sorted({file for files in parts.values() for file in files}), draws)
    for name in sorted(parts):
        whole = in_sequence([sounds.read(file) for file in parts[name]], GAP_SECONDS, settings)
        write_pcm(folder / f"{name}.wav", whole, settings, name=name, draws=draws)
    write_pcm(folder / f"{layout.CALIBRATION_NOISE}.wav", sounds.noise * sounds.rms, settings, name=NOISE, draws=draws)
    return sounds.rms


def _write_answers(folder: Path, path: Path, design: Design, answers: Sequence[str]) -> None:
    """The closed list, pictures and the selection, copied."""
    if not design.compares:
        write_text(folder / layout.ANSWERS, "\n".join(answers) + "\n")
    if design.answers.pictures is not None:
        (folder / layout.PICTURES).mkdir()
        for k, answer in enumerate(answers, start=1):
            shutil.copyfile(path.parent / design.answers.pictures / f"{answer}.png", folder / layout.PICTURES / f"{k}.png")
    if design.conditions.selection is not None:
        shutil.copyfile(path.parent / design.conditions.selection, folder / "selection.tsv")


def _missing_rows(offer: AvailableStimuli, design: Design) -> Iterable[dict[str, object]]:
    instead = "left out" if design.conditions.missing == "leave-out" else "natural clip"
    for one in offer.missing:
        yield {"clip": one.clip, **one.condition._asdict(), "reason": one.reason, "instead": instead}
