"""The server is killed while listeners answer: what it confirmed is there, once, and everybody goes on at the same trial."""

import threading

from audiometamer.listening.client import Client
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import address_of, start_server
from audiometamer.listening.responders import SimulatedListener
from audiometamer.listening.simulated import take_part
from audiometamer.listening.store import Store

LISTENERS = 4


def test_kill_minus_9_under_load(experiment, tmp_path):
    database = tmp_path / "answers.db"
    store = Store(database, experiment)
    tokens = [store.enrol(group="simulated") for _ in range(LISTENERS)]
    store.close()
    confirmed, ends, enough = [], [], threading.Event()
    lock = threading.Lock()

    def note(listener):
        def confirm(one):
            with lock:
                confirmed.append((listener, one))
                if len(confirmed) >= 30:
                    enough.set()

        return confirm

    first = start_server(experiment.folder, database)
    address = address_of(first)

    def listen(k):
        with Client(address, tokens[k], patience=120) as client:
            ends.append(take_part(client, SimulatedListener(experiment.key), seed=k, load=False, on_confirmed=note(k + 1)))

    threads = [threading.Thread(target=listen, args=(k,)) for k in range(LISTENERS)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    first.kill()
    first.communicate()
    with lock:
        before = len(confirmed)
    found = read_answers(database, experiment)
    there = {(one.listener, message.key): message for one in found.enrolled for message in found.messages[one.listener]}
    assert all((listener, one.message["key"]) in there for listener, one in confirmed[:before])

    second = start_server(experiment.folder, database, port=int(address.rpartition(":")[2]))
    try:
        assert address_of(second) == address
        for thread in threads:
            thread.join(120)
    finally:
        second.kill()
        second.communicate()
    assert ends == ["finished"] * LISTENERS
    assert before < len(confirmed), "it was killed while they answered"
    assert any(one.attempts > 1 for _, one in confirmed)
    found = read_answers(database, experiment)
    for one in found.enrolled:
        answers = found.answers(one.listener)
        assert [answer.trial for answer in answers] == [trial.trial for trial in experiment.trials(one.list)]
        sent = {c.message["trial"]: c.message for k, c in confirmed if k == one.listener and c.message["kind"] == "answer"}
        assert [(a.key, a.answer) for a in answers] == [(m["key"], m["answer"]) for _, m in sorted(sent.items())]
