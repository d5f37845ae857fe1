"""The configurations of nginx and Caddy in the documentation: a listener and the experimenter, under a path of another server."""

import os
import re
import socket
import ssl
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urljoin

import httpx2
import pytest
from processes import CONTEXT, started
from tiny_experiment import answer_message, form_message

from audiometamer.listening.server import serve

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "experiment.md").read_text(encoding="utf-8")
NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {text}
}}
"""


def served(experiment, database, address):
    serve(experiment, port=0, open_to="anyone", database=database, proxies=["127.0.0.1"], started=address.put)


@pytest.fixture(scope="module")
def upstream(experiment, tmp_path_factory):
    """Where the experiment itself is served."""
    folder, address = tmp_path_factory.mktemp("upstream"), CONTEXT.Queue()
    process = started(served, experiment, folder / "answers.db", address, output=folder / "log.txt")
    try:
        yield address.get(timeout=60).removeprefix("http://")
    finally:
        process.terminate()
        process.join()
    assert (folder / "log.txt").read_text() == ""


def documented(name):
    (text,) = re.findall(rf"<!-- test: {name} -->\n```{name}\n(.*?)```", DOCUMENTATION, re.DOTALL)
    return text


def changed(text, *pairs):
    """The documented text, with what is of one machine alone."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


def free_port():
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def speaks_tls(port):
    """Whether a server is there and has its certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            context.wrap_socket(one, server_hostname="localhost").close()
    except OSError:  # of which those of TLS are
        return False
    return True


@contextmanager
def running(command, port, **settings):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **settings)
    try:
        while not speaks_tls(port):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.communicate()


@contextmanager
def nginx(folder, upstream, port):
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    asked = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    command = ["openssl", "req", *asked, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    text = changed(
        documented("nginx"), ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"), ("127.0.0.1:8000", upstream),
        ("/etc/letsencrypt/live/lab.example/fullchain.pem", str(certificate)), ("lab.example", "localhost"),
        ("/etc/letsencrypt/live/localhost/privkey.pem", str(key)),
    )  # fmt: skip
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, text=text))
    with running(["nginx", "-p", str(folder), "-e", str(folder / "log"), "-c", str(configuration)], port):
        yield


@contextmanager
def caddy(folder, upstream, port):
    alone = "admin off\n    skip_install_trust\n    auto_https disable_redirects"
    text = changed(
        documented("caddy"), ("{\n    servers", f"{{\n    {alone}\n    servers"),
        ("lab.example {", f"https://localhost:{port} {{\n    bind 127.0.0.1\n    tls internal"), ("127.0.0.1:8000", upstream),
    )  # fmt: skip
    configuration = folder / "Caddyfile"
    configuration.write_text(text)
    places = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(configuration)]
    with running(command, port, env={**os.environ, **places}):
        yield


@pytest.mark.programs
@pytest.mark.parametrize("proxy", [nginx, caddy])
def test_an_experiment_behind_the_documented_proxy(proxy, upstream, experiment, tmp_path):
    tmp_path.chmod(0o755)  # nginx serves as another user
    port = free_port()
    root = f"https://localhost:{port}/words/"
    with proxy(tmp_path, upstream, port), httpx2.Client(verify=False, timeout=30) as client:
        assert urljoin(root, client.get(root.removesuffix("/")).headers["Location"]) == root
        page = client.get(root)
        for address in re.findall(r'(?:src|href)="(page/[^"]+)"', page.text):
            assert client.get(urljoin(root, address)).status_code == 200, address
        token = client.post(urljoin(root, "api/enrol"), json={"service": "anyone"}).json()["token"]
        bearing = {"Authorization": f"Bearer {token}"}
        trial = client.get(urljoin(root, "api/session"), headers=bearing).json()["trials"][0]
        for message in (form_message("consent"), answer_message(experiment.trials(1)[0], "1", stimulus=trial["stimulus"])):
            reported = client.post(urljoin(root, "api/messages"), headers=bearing, json=message)
            assert reported.json()["kept"] == message["key"], reported.text
        assert client.get(urljoin(root, f"sounds/{trial['stimulus']}.wav"), headers=bearing).content[:4] == b"RIFF"
        # said to be JSON: one that forwards a body as it comes would else be answered 415 before the limit is reached
        large = client.post(
            urljoin(root, "api/messages"), headers={**bearing, "Content-Type": "application/json"}, content=b" " * 65_537
        )
        assert large.status_code in (413, 502)  # 502: older Caddys
        form = client.get(urljoin(root, "results"))
        for place in re.findall(r'action="([^"]+)"', form.text):
            shown = client.post(urljoin(root + "results", place), data={"secret": experiment.secret})
            assert shown.status_code == 200, place
        refused = client.post(urljoin(root, "results/trials.tsv"), data={"secret": "x"})
        (again,) = re.findall(r'<form method="post" action="([^"]+)"', refused.text)
        assert urljoin(root + "results/trials.tsv", again) == root + "results"
