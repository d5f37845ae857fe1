"""``audiometamer experiment``: listening experiments, from design to analysis."""

import operator
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np
from numpy.typing import NDArray

from audiometamer.cli import options, serving
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.bids import write_beh
from audiometamer.experiment.build import Built
from audiometamer.experiment.build import build as build_folder
from audiometamer.experiment.design import read_design
from audiometamer.experiment.pack import Form
from audiometamer.experiment.pack import pack as pack_folder
from audiometamer.experiment.power import listeners_needed
from audiometamer.experiment.reading import experiment_with, read_experiment
from audiometamer.io.locks import exclusive_folder
from audiometamer.listening import folder as layout
from audiometamer.listening.collect import RefusalsError
from audiometamer.listening.collect import collect as collect_files
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.listening.export import write_tables
from audiometamer.listening.folder import Experiment, read_lists
from audiometamer.listening.identity import identity
from audiometamer.listening.reading import read_answers
from audiometamer.listening.responders import NetworkListener, Responder, SimulatedListener, rankings_by
from audiometamer.listening.sentences import shipped, shipped_file
from audiometamer.listening.store import Store
from audiometamer.listening.tables import read_listeners, read_persons, read_trials

_path = click.Path(path_type=Path)
_stimulus_set = click.argument("stimulus_set", metavar="SET", type=_path)


@click.group(
    cls=Group,
    headings={
        "Prepare": ("power", "sentences", "build", "rehearse"),
        "Run": ("serve", "links", "release", "pack", "collect"),
        "Analyse": ("export", "analyse"),
    },
)  # fmt: skip
def experiment() -> None:
    """Listening experiments: from a stimulus set to listeners' answers and their analysis."""


@experiment.command()
@_stimulus_set
@click.option("--design", required=True, type=_path, help="A TOML file: who hears what.")
@serving.names_key
@options.out("experiment")
def build(stimulus_set: Path, design: Path, key: Path | None, out: Path) -> None:
    """Make an experiment of SET: every listener's list, the sounds under names that tell nothing, and the key to them."""
    built = build_folder(stimulus_set, design, out, key=key)
    _tell(built)
    click.echo(
        f"{built.design.listeners} listeners, {len(built.lists[0])} trials each, {built.design.trials} of them main trials: {out}"
    )
    if built.unheard:
        click.echo(f"{built.unheard} words are heard by nobody")
    if built.offer.missing:
        instead = "left out" if built.design.conditions.missing == "leave-out" else "played as natural clips instead"
        clips = len({one.clip for one in built.offer.missing})
        click.echo(f"{len(built.offer.missing)} metamers of {clips} clips are missing, {instead}: {out / layout.MISSING}")
    serving.print_open_ends(read_design(design), out)
    keys = f"{out / layout.KEY} {out / layout.NAMES_KEY}"
    click.echo(f"keys, for your eyes alone: {keys}   secret of the results page: {out / layout.SECRET}")


def _tell(built: Built) -> None:
    """How often each condition is heard, by a listener and in all."""
    table = plain_table("condition", numbers=["of a listener", "in all", "missing"])
    heard = [Counter(trial.condition for trial in trials if trial.kind == "main") for trials in built.lists]
    missing = Counter(one.condition for one in built.offer.missing)
    for condition in built.offer.conditions:
        numbers = [count[condition] for count in heard]
        span = f"{min(numbers)}–{max(numbers)}" if min(numbers) != max(numbers) else str(numbers[0])
        table.add_row(str(condition), span, str(sum(numbers)), str(missing[condition]))
    print_table(table)


@experiment.command()
@click.option("--language", type=click.Choice(shipped()), default="en", show_default=True, help="Language to translate from.")
def sentences(language: str) -> None:
    """Print the page's own sentences as TOML, to translate; a design names the translated file in texts.sentences."""
    click.echo(shipped_file(language).read_text(encoding="utf-8"), nl=False)


@experiment.command()
@serving.folder
@serving.served
def serve(folder: Path, **asked: Any) -> None:
    """Run EXPERIMENT in browsers. An answer that was confirmed is on disk; stop and start again as you like."""
    serving.serve(read_experiment(folder), **asked)


@experiment.command()
@serving.folder
@serving.answers
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many listeners.")
@click.option("--address", "--url", help="Where listeners reach the server; default: where EXPERIMENT was last served.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of a server on this machine, instead of --address.")
@click.option("--group", help="Group of these listeners, if the experiment compares groups; default: none.")
def links(folder: Path, database: Path | None, count: int, address: str | None, port: int | None, group: str | None) -> None:
    """Print links for new listeners of EXPERIMENT. Each is shown this once: only its hash is kept."""
    if address is not None and port is not None:
        raise AudioMetamerError(f"--address is {address} and --port is {port}; give one of them")
    named = "" if group is None else identity(group)
    if named is None:
        raise AudioMetamerError(f"--group is {group!r}; it must be a name")
    store = _store(folder, database)
    reached = address or (serving.local_address(port) if port is not None else serving.public_address(store.address))
    for _ in range(count):
        token = store.enrol(group=named)
        click.echo(f"{store.listener(token)}\t{reached.rstrip('/')}/#{token}")


@experiment.command()
@serving.folder
@serving.answers
@click.argument("listener", type=int)
@click.option("--reason", required=True, help="Reason, for the table of listeners.")
def release(folder: Path, database: Path | None, listener: int, reason: str) -> None:
    """Count LISTENER, who did not finish, as excluded, and give the list to the next who comes. The answers stay."""
    _store(folder, database).release(listener, reason)
    click.echo(f"listener {listener} is excluded; the list is free")


@experiment.command()
@serving.folder
@serving.answers
@options.out("answers")
def export(folder: Path, database: Path | None, out: Path) -> None:
    """Write the answers of EXPERIMENT as tables, while the server runs or after."""
    answers = read_answers(database or folder / layout.DATABASE, _of_any_kind(folder))
    write_tables(answers, out)
    for notice in answers.notices:
        click.echo(notice, err=True)
    click.echo(f"{answers.total} answers of {len(answers.enrolled)} listeners: {out}")


@experiment.command()
@serving.folder
@click.option(
    "--to", required=True, type=click.Choice(get_args(Form)),
    help="static: a folder for any web host; jatos: a study (.jzip); psychopy: condition files.",
)  # fmt: skip
@click.option("--out", required=True, type=_path, help="A new folder; for JATOS a new file.jzip.")
@click.option(
    "--address", default="", help="Where listeners will reach the static folder, or the study link of JATOS, for their links."
)
@click.option(
    "--any-list", is_flag=True,
    help="jatos: whoever opens the study link gets the next free list; any of them can read all lists.",
)  # fmt: skip
def pack(folder: Path, to: Form, out: Path, address: str, any_list: bool) -> None:
    """Write EXPERIMENT in a form that needs no server of ours."""
    links = pack_folder(folder, out, to=to, address=address, any_list=any_list)
    click.echo(f"{len(read_experiment(folder).lists.listeners)} lists: {out}")
    if links is not None:
        click.echo(f"links, one for each listener, for your eyes alone: {links}")
    if to == "psychopy":
        click.echo("the condition files name right answers: keep them on the experimenter's machine")


@experiment.command()
@serving.folder
@serving.answers
@click.argument("files", metavar="FILE…", nargs=-1, required=True, type=_path)
@click.option("--response", help="Column of PsychoPy's files with the answers, as in key_resp.keys.")
@click.option("--reaction-time", help="Their column with reaction times in s; default: .rt of the same component.")
def collect(
    folder: Path, database: Path | None, files: tuple[Path, ...], response: str | None, reaction_time: str | None
) -> None:
    """Take FILES with answers of static folders, JATOS or PsychoPy into EXPERIMENT. The same file again changes nothing.

    A listener who is refused does not hold up the others; refusals are listed at the end, and the exit status is 2.
    """
    store = _store(folder, database)
    try:
        taken, refusals = collect_files(store.experiment, files, store, response=response, reaction_time=reaction_time), []
    except RefusalsError as error:
        taken, refusals = error.taken, list(error.refusals)
    for one in taken:
        click.echo(f"listener {one.listener}, list {one.number}: {one.answers} answers from {one.file}")
    for refusal in refusals[:-1]:
        click.echo(refusal, err=True)
    if refusals:
        others = f"; {len(refusals) - 1} more refused, above" if len(refusals) > 1 else ""
        raise AudioMetamerError(f"{refusals[-1]}{others}")


@experiment.command()
@serving.folder
@options.out("rehearsal")
@serving.listeners
@click.option(
    "--accuracy", multiple=True, metavar="CONDITION=P",
    help="Share of right answers: relu0=0.8, cochcnn-word/relu0=0.8, natural=0.95, headphones=1; may be given several times.",
)  # fmt: skip
@click.option("--guesses", type=options.Number(0, 1), default=0.02, show_default=True, help="Probability of an answer at random.")
@click.option("--model", "model_name", help="A network as listener, instead of --accuracy.")
@options.device
@serving.rehearsed
def rehearse(
    folder: Path, out: Path, listeners: int, accuracy: tuple[str, ...], guesses: float, model_name: str | None, device: str,
    **asked: Any,
) -> None:  # fmt: skip
    """Let simulated listeners go through EXPERIMENT at once, and hold what was confirmed against what is on disk."""
    read = read_experiment(folder)
    serving.rehearse_and_report(read, out, _reply(read, accuracy, guesses, model_name, device), listeners=listeners, **asked)


def _reply(read: Experiment, accuracy: tuple[str, ...], guesses: float, model_name: str | None, device: str) -> Responder:
    """How simulated listeners answer."""
    if model_name is not None:
        return NetworkListener(read.key, rankings_by(options.opened_model(model_name, device), read))
    expected = "CONDITION=P, as in relu0=0.8"
    chosen = dict(serving.named_number(text, option="--accuracy", expected=expected) for text in accuracy)
    return SimulatedListener(read.key, chosen, guesses=guesses)


def _store(folder: Path, database: Path | None) -> Store:
    store = Store(database or folder / layout.DATABASE, _of_any_kind(folder))
    click.get_current_context().call_on_close(store.close)
    return store


def _of_any_kind(folder: Path) -> Experiment:
    """An experiment, or an exploration: listeners have links and answers in both."""
    lists, key = read_lists(folder)
    if not lists.adaptive_command:
        return experiment_with(folder, lists, key)
    from audiometamer.exploration.build import exploration_with

    return exploration_with(folder, lists, key)


@experiment.command()
@click.argument("trials", metavar="TRIALS.tsv", type=_path)
@click.option("--listeners", type=_path, help="The table of listeners: who was excluded, groups, headphone checks.")
@click.option(
    "--participants", type=_path,
    help="participants.tsv of `experiment export`: of several listeners who are one person, the first is analysed.",
)  # fmt: skip
@click.option(
    "--experiment", "folder", type=_path,
    help="The folder of `experiment build`: its design gives the minimum of both checks and the chance level, its key what "
    "networks recognise.",
)  # fmt: skip
@click.option("--key", type=_path, help="Its key.json alone: what each network recognises of shared natural clips.")
@click.option(
    "--layers", "layer_names", multiple=True, metavar="A,B,…",
    help="Order of the layers of all models; default: that of the zoo's models, else as first met in the table.",
)  # fmt: skip
@click.option("--headphones", type=click.IntRange(0), help="Headphone trials to get right; default: as in the design, or 5.")
@click.option("--demonstration", type=click.IntRange(0), help="Demonstration trials to get right; likewise.")
@click.option("--catch", type=options.Number(0, 1), default=0.5, show_default=True, help="Share of catch trials to get right.")
@click.option("--finished", is_flag=True, help="Leave out listeners who did not finish.")
@click.option("--fastest", type=options.Number(0), metavar="MS", help="Leave out listeners with a shorter median reaction time.")
@click.option("--count-missing", is_flag=True, help="Count natural clips that were played for missing metamers, as in 2023.")
@click.option("--chance", type=options.Number(0, 1), help="Proportion right by chance, drawn as a line; default: the design's.")
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap samples of listeners.")
@click.option(
    "--permutations", type=click.IntRange(0), default=10_000, show_default=True, help="Random permutations in each test."
)
@click.option(
    "--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the bootstrap, permutations and split halves."
)
@click.option("--logistic", is_flag=True, help="Also mixed logistic models (needs statsmodels).")
@click.option("--bids", is_flag=True, help="Also all trials as BIDS beh files.")
@options.out("analysis")
@click.option("--overwrite", is_flag=True, help="Replace the analysis that is there.")
def analyse(
    trials: Path, listeners: Path | None, participants: Path | None, folder: Path | None, key: Path | None,
    layer_names: tuple[str, ...], headphones: int | None, demonstration: int | None, catch: float, finished: bool,
    fastest: float | None, count_missing: bool, chance: float | None, resamples: int, permutations: int, seed: int,
    logistic: bool, bids: bool, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Analyse the answers of an experiment: exclusions, recognition with intervals, tests, a figure.

    Writes trials.tsv, listeners.tsv, sample.tsv, recognition.tsv, anova.tsv, recognition.png, .pdf and .svg, and summary.txt
    into --out.
    """
    from audiometamer.experiment.analysis import analyse as analysing
    from audiometamer.experiment.analysis.chance import Chance, chance_of
    from audiometamer.experiment.analysis.logistic import mixed_logistic, write_logistic
    from audiometamer.experiment.analysis.recognition import read_recognised
    from audiometamer.models.loading import load_model, zoo

    answers = read_trials(trials)
    known = read_listeners(listeners) if listeners else []
    persons = read_persons(participants) if participants else None
    key = key or (folder and folder / layout.KEY)
    same = operator.eq if folder is None else read_design(folder / layout.DESIGN).answers.same
    recognised = read_recognised(key, same=same) if key else None
    rules = _rules(
        folder, {"headphones": headphones, "demonstration": demonstration}, catch=catch, finished=finished, fastest_ms=fastest
    )
    level = None if chance is None else Chance(chance)
    if level is None and folder is not None:
        level = chance_of(read_experiment(folder))
    models = {trial.model: None for trial in answers if trial.model}
    if order := options.split_names(layer_names):
        layers = dict.fromkeys(models, order)
    else:
        layers = {name: list(load_model(name).layers) for name in models if name in zoo()}
    with exclusive_folder(out):
        if (out / "summary.txt").exists() and not overwrite:
            raise AudioMetamerError(f"{out} holds an analysis; choose another --out, or --overwrite it")
        found = analysing.analyse(
            answers, known, rules=rules, persons=persons, layers=layers, recognised=recognised, count_missing=count_missing,
            resamples=resamples, permutations=permutations, seed=seed,
        )  # fmt: skip
        paths = analysing.write_analysis(found, out, chance=level)
        if logistic:
            paths.append(write_logistic(out / "logistic.tsv", mixed_logistic(found.trials)))
        if bids:
            paths.append(write_beh(out / "bids", answers, found.exclusions.listeners))
    click.echo(analysing.summary(found, chance=level))
    click.echo(f"{out}: {', '.join(path.name for path in paths)}")


def _rules(folder: Path | None, asked: Mapping[str, int | None], **others: Any) -> ExclusionRules:
    """What is asked for goes before what the design says, and that before the usual."""
    chosen: dict[str, Any] = {name: least for name, least in asked.items() if least is not None}
    if folder is not None:
        design = read_design(folder / layout.DESIGN)
        chosen = {"headphones": design.headphones.minimum, "demonstration": design.demonstration.minimum, **chosen}
    return ExclusionRules(**others, **chosen)


@experiment.command()
@click.option(
    "--accuracy", "accuracies", multiple=True, required=True, metavar="A,B,…",
    help="What the median listener gets right at each layer, as in 0.9,0.8,0.3; given several times, of several models.",
)  # fmt: skip
@click.option("--trials", type=click.IntRange(1), required=True, help="Trials of each listener in each condition.")
@click.option("--effect", default="layer", show_default=True, help="layer, model, or layer*model.")
@click.option(
    "--power",
    "wanted",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.8,
    show_default=True,
    help="Share of experiments that find the effect.",
)
@click.option(
    "--alpha",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="An effect is found if p is below it.",
)
@click.option(
    "--spread", type=options.Number(0), default=0.5, show_default=True, help="Standard deviation of listeners, log odds."
)
@click.option(
    "--scatter",
    type=options.Number(0),
    default=0.0,
    show_default=True,
    help="Standard deviation of each listener's conditions beyond that, log odds.",
)
@click.option(
    "--lapse",
    type=options.Number(0, 1),
    default=0.0,
    show_default=True,
    help="Share of answers that are wrong whatever is played.",
)
@click.option("--most", type=click.IntRange(2), default=500, show_default=True, help="Listeners at which to give up.")
@click.option("--experiments", type=click.IntRange(1), default=1000, show_default=True, help="Simulated for each number.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the simulation.")
def power(
    accuracies: tuple[str, ...], trials: int, effect: str, wanted: float, alpha: float, spread: float, scatter: float,
    lapse: float, most: int, experiments: int, seed: int,
) -> None:  # fmt: skip
    """How many listeners an effect needs, by simulated experiments that are analysed as real ones."""
    tried = listeners_needed(
        _accuracies(accuracies), wanted=wanted, most=most, trials=trials, effect=effect, spread=spread, scatter=scatter,
        lapse=lapse, alpha=alpha, experiments=experiments, seed=seed,
    )  # fmt: skip
    click.echo("listeners  power")
    for found in tried:
        click.echo(f"{found.listeners:>9}  {found.power:.3f} ± {found.se:.3f}")
    needed = next(found for found in tried if found.power >= wanted)
    if needed.untested:
        click.echo(
            f"{100 * needed.untested:.0f} % of experiments have no F, as listeners do not differ; they count as not finding it"
        )
    click.echo(f"{needed.listeners} listeners: {effect} is found in {100 * needed.power:.0f} % of experiments")


def _accuracies(texts: tuple[str, ...]) -> NDArray[np.float64]:
    """Accuracies of each model, separated by commas; shape=(layers,), or (layers, models) if there are several."""
    try:
        rows = [[float(number) for number in text.split(",")] for text in texts]
    except ValueError as error:
        raise AudioMetamerError(f"--accuracy takes a number for each layer, as in 0.9,0.8,0.3: {error}") from error
    if len({len(row) for row in rows}) != 1:
        raise AudioMetamerError(f"--accuracy of {' and '.join(str(len(row)) for row in rows)} layers; all models need the same")
    return np.array(rows[0]) if len(rows) == 1 else np.array(rows).T
