"""The experimenter's page: progress of the listeners, and results by condition. Plain HTML without scripts."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from audiometamer.errors import listeners_in_words
from audiometamer.listening.design import COMPARED, PAIRS
from audiometamer.listening.received import EVENTS, LISTENERS, PARTICIPANTS, TRIALS, EnrolledListener, ReceivedAnswers
from audiometamer.listening.tables import TrialRow

TABLES = (TRIALS, LISTENERS, EVENTS, PARTICIPANTS)


def results_page(title: str, answers: ReceivedAnswers | None, *, refused: bool = False, root: str = "") -> str:
    """A page that asks for the secret and shows the answers, if there are any to show.

    Parameters
    ----------
    title : str
        Title of the experiment.
    answers : ReceivedAnswers or None
    refused : bool
        Whether the secret was wrong. Default False.
    root : str
        The server's root relative to the page, which may lie under any path of a proxy: ``../`` in the address of a table.
        Default: the folder of the page.
    """
    downloads = "".join(f'<button formaction="{root}results/{table}">Download {table}</button>' for table in TABLES)
    wrong = '<p role="alert">This is not the secret of this experiment.</p>' if refused else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Results: {escape(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}page/results.css">
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<form method="post" action="{root}results">
<label for="secret">Secret of this experiment (in the file results.secret)</label>
<input id="secret" name="secret" type="password" autocomplete="current-password" required>
<button>Show results</button>
{downloads}
</form>
{wrong}{"" if answers is None else _shown(answers)}
</main>
</body>
</html>
"""


def _shown(answers: ReceivedAnswers) -> str:
    enrolled = answers.enrolled
    states = Counter("excluded" if one.excluded is not None else _state(answers, one) for one in enrolled)
    counted = ", ".join(f"{states[state]} {state}" for state in ("finished", "excluded", "under way", "not started"))
    lists = len(answers.experiment.lists.listeners)
    counts = f"{listeners_in_words(len(enrolled))} enrolled for {lists} lists: {counted}; {answers.total} answers"
    return f"""<p>{counts}</p>
{"".join(f'<p role="note">{escape(notice)}</p>' for notice in answers.notices)}
{_main_trials(answers)}
<h2>Listeners</h2>
{_table(("listener", "list", "group", "answers", "headphones", "practice", "state"), _listeners(answers))}
"""


def _main_trials(answers: ReceivedAnswers) -> str:
    """Results by condition; adaptive experiments have none, nor those in which no answer is right."""
    if answers.experiment.adaptive is not None or answers.experiment.design.answers.kind in (*PAIRS, *COMPARED):
        return ""
    columns = ("condition", "answers", "right", "natural clip instead")
    return f"<h2>Main trials</h2>\n{_table(columns, _conditions(answers.trials))}"


def _conditions(trials: Iterable[TrialRow]) -> list[list[object]]:
    """Number of main trials in each condition, and how many were answered correctly."""
    number, right, missing = Counter[str](), Counter[str](), Counter[str]()
    for trial in trials:
        if trial.kind == "main":
            name = trial.layer if trial.seed is None else f"{trial.model} {trial.layer}, seed {trial.seed}"
            number[name] += 1
            right[name] += trial.correct
            missing[name] += trial.missing
    return [[name, n, f"{100 * right[name] / n:.0f} %", missing[name]] for name, n in sorted(number.items())]


def _listeners(answers: ReceivedAnswers) -> list[list[object]]:
    rows = []
    for one, row in zip(answers.enrolled, answers.listeners, strict=True):
        headphones = f"{row.headphones_correct} of {row.headphones_trials}" if row.headphones_trials else "not given"
        rows.append([
            one.listener, one.list, one.group, _progress(answers, one), headphones, f"{row.practice_correct} right",
            row.reason or _state(answers, one),
        ])  # fmt: skip
    return rows


def _state(answers: ReceivedAnswers, one: EnrolledListener) -> str:
    """Progress of a listener who was not excluded."""
    if one.finished is not None:
        return "finished"
    return "under way" if answers.answers(one.listener) else "not started"


def _progress(answers: ReceivedAnswers, one: EnrolledListener) -> str:
    n, sequence = len(answers.answers(one.listener)), answers.experiment.adaptive
    if sequence is None:
        return f"{n} of {len(answers.experiment.trials(one.list))}"
    return f"{n} ({100 * sequence.progress(one.list, answers.completed(one.listener)):.0f} %)"


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"
