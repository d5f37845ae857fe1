"""Results and tables are for whoever has the secret."""

import re
from urllib.parse import urljoin

import pytest
from http_steps import agreed, bearing, refusal

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.app import create_app


def test_results_are_for_who_has_the_secret(client, store, experiment):
    agreed(client, store)
    asked = client.get("/results")
    assert asked.status_code == 200
    assert 'type="password"' in asked.text
    shown = client.post("/results", data={"secret": experiment.secret})
    assert "1 listener enrolled for 6 lists: 0 finished, 0 excluded, 0 under way, 1 not started; 0 answers" in shown.text
    assert "<td>not given</td>" in shown.text
    table = client.post("/results/trials.tsv", data={"secret": experiment.secret})
    assert table.text.startswith("listener\ttrial\tkind")
    assert table.headers["content-disposition"] == 'attachment; filename="trials.tsv"'
    assert client.post("/results/participants.tsv", headers=bearing(experiment.secret)).status_code == 200
    assert refusal(client.post("/results/key.json", headers=bearing(experiment.secret)), 404).startswith("there is no such table")


@pytest.mark.parametrize("secret", ["", "x", "é", "\x00", "token"])
def test_without_the_secret_there_are_no_results(client, store, token, secret):
    secret = token if secret == "token" else secret
    for path in ("/results", "/results/trials.tsv", "/results/nothing"):
        response = client.post(path, data={"secret": secret, "other": "x"})
        assert response.status_code == 403
        assert "under way" not in response.text
        assert client.post(path, headers=bearing("guess")).status_code == 403
        assert client.post(path).status_code == 415


def test_the_secret_in_an_address_opens_nothing(client, experiment):
    for path in (f"/results?secret={experiment.secret}", f"/results/trials.tsv?secret={experiment.secret}"):
        response = client.get(path)
        assert "listener\t" not in response.text
        assert "under way" not in response.text
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert client.post(path, headers=form).status_code == 403


@pytest.mark.parametrize("path", ["/results", "/results/trials.tsv"])
def test_behind_any_path_the_results_form_and_its_buttons_stay_there(client, experiment, path):
    root = "http://proxy/lab/words/"
    refused = client.post(path, data={"secret": "x"})
    shown = client.post("/results", data={"secret": experiment.secret})
    for page, response in ((path, refused), ("/results", shown), ("/results", client.get("/results"))):
        found = re.findall(r'(?:action|href)="([^"]+)"', response.text)
        places = [urljoin(root + page.removeprefix("/"), one) for one in found if not one.startswith("data:")]
        assert len(places) == 6
        assert all(place.startswith(root) for place in places)
        assert {"results", "results/trials.tsv", "page/results.css"} <= {place.removeprefix(root) for place in places}


def test_an_empty_secret_opens_nothing(own, folder, store):
    (own / "results.secret").write_text("\n")
    for path in (folder / "sounds").iterdir():
        (own / "sounds" / path.name).hardlink_to(path)
    with pytest.raises(AudioMetamerError, match=r"results\.secret is empty"):
        create_app(read_experiment(own), store)
