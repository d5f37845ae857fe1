"""Steps of a listener at a server, over HTTP."""

from tiny_experiment import form_message


def bearing(token):
    return {"Authorization": f"Bearer {token}"}


def session(client, token):
    response = client.get("/api/session", headers=bearing(token))
    assert response.status_code == 200
    return response.json()


def send(client, token, message):
    return client.post("/api/messages", headers=bearing(token), json=message)


def agreed(client, store):
    """A listener who has agreed: token and trials."""
    token = store.enrol()
    assert send(client, token, form_message("consent")).status_code == 200
    return token, store.experiment.trials(store.state(store.listener(token)).number)


def right(experiment, trial):
    return experiment.key[trial.stimulus].answer


def refusal(response, status):
    """The one line of a refusal."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert "\n" not in error
    assert "Traceback" not in response.text
    return error


def enrol(client, service, **parameters):
    return client.post("/api/enrol", json={"service": service, "parameters": parameters})
