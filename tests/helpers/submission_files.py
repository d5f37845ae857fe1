"""Files of answers, as listeners, JATOS and mischief make them."""

import json
import zipfile

import pytest
from tiny_experiment import all_messages

from audiometamer.listening.collect import RefusalsError, collect
from audiometamer.listening.list_names import list_names
from audiometamer.listening.reading import read_answers


def header(experiment, number, **changes):
    reported = {
        "kind": "listener", "audiometamer": "1.0", "service": "static", "list": list_names(experiment)[number - 1],
        "listener": f"listener{number}",
    }  # fmt: skip
    return {**reported, **changes}


def lines(messages):
    return "".join(json.dumps(message) + "\n" for message in messages)


def runs(experiment, n=6, **entries):
    """Results of JATOS by the name of their entry: of each listener one, and `entries` in the place of some."""
    whole = {
        f"study_result_{k}/comp-result_{k}/data.txt": lines([
            header(experiment, k, service="jatos"), *all_messages(experiment, k)
        ])
        for k in range(1, n + 1)
    }  # fmt: skip
    return {**whole, **{f"study_result_{k[1:]}/comp-result_{k[1:]}/data.txt": content for k, content in entries.items()}}


def zipped(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def refusals(experiment, store, *files, **asked):
    """What was refused, and the lists that were taken all the same."""
    with pytest.raises(RefusalsError) as found:
        collect(experiment, files, store, **asked)
    assert all("\n" not in line and len(line) < 400 for line in found.value.refusals)
    taken = [one.number for one in found.value.taken]
    assert {*taken} <= {one.list for one in read_answers(store.path, experiment).enrolled}
    return found.value.refusals, taken
