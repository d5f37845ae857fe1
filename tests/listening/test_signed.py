"""Links that Prolific signed: only what its key says, of this study, now."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from signed_links import PERSON, STUDY, claims, key_set, signed

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.refusals import UnsignedError
from audiometamer.listening.signed import SignedLinks


def part(content):
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_who_comes_by_a_signed_link_is_who_it_names(private, keys):
    links = SignedLinks(["study0", "study1"], keys=str(keys), audience="https://LAB.example/")
    token = signed(private)
    assert links.proven({"prolific_token": token}) == PERSON
    assert links.proven({**PERSON, "prolific_token": token}) == PERSON
    assert links.proven({"prolific_token": signed(private, claims(exp=time.time() - 30, aud=[STUDY, "x"]))}) == PERSON


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"exp": time.time() - 3600}, "expired"),
        ({"exp": "soon"}, "exp"),
        ({"nbf": time.time() + 3600}, "not yet valid"),
        ({"prolific": {**PERSON, "STUDY_ID": "study2"}}, "signed for another study"),
        ({"prolific": {"PROLIFIC_PID": "5f2"}}, "signed for another study"),
        ({"prolific": {"STUDY_ID": "study1"}}, "signed for another study"),
        ({"prolific": {**PERSON, "PROLIFIC_PID": 7}}, "signed for another study"),
        ({"prolific": "5f2"}, "signed for another study"),
        ({"prolific": None}, "signed for another study"),
        ({"aud": "https://evil.example/lab.example"}, "signed for another address"),
        ({"aud": "https://lab.example@evil.example"}, "signed for another address"),
        ({"aud": None}, "signed for another address"),
        ({"aud": 7}, "signed for another address"),
        ({"aud": "https://["}, "signed for another address"),
    ],
)  # fmt: skip
def test_other_studies_and_times_are_refused(private, keys, change, reported):
    links = SignedLinks(["study1"], keys=str(keys), audience="https://lab.example/page/")
    content = {name: value for name, value in claims(**change).items() if value is not None}
    token = ".".join((part({"alg": "RS256", "kid": "ours"}), part(content)))
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(token.encode(), private["ours"])
    token += "." + base64.urlsafe_b64encode(signature).decode().rstrip("=")
    with pytest.raises(UnsignedError, match=reported) as found:
        links.proven({**PERSON, "prolific_token": token})
    assert "\n" not in str(found.value)
    assert found.value.code == "unsigned"


def test_what_prolific_has_not_signed_is_refused(private, keys):
    links = SignedLinks(["study1"], keys=str(keys))
    good = signed(private)
    head, body, signature = good.split(".")
    public = private["ours"].public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )  # fmt: skip
    confused = ".".join((part({"alg": "HS256", "typ": "JWT", "kid": "ours"}), body))
    mac = base64.urlsafe_b64encode(hmac.digest(public, confused.encode(), hashlib.sha256)).decode().rstrip("=")
    forged = [
        "", "x", "a.b.c", "é.é.é", "\ud800", good[:-9], f"{head}.{part(claims())}.{signature}", f"{head}.{body}.",
        signed(private, key="theirs"), signed(private, key="theirs", kid="theirs"), signed(private, kid=""),
        f"{part({'alg': 'none', 'kid': 'ours'})}.{body}.", f"{confused}.{mac}",
        f"{part({'alg': 'RS256'})}.{body}.{signature}", f"{part({'alg': 'RS256', 'kid': ['ours']})}.{body}.{signature}",
        f"{part({'alg': 'RS256', 'kid': 'ours', 'jku': 'https://evil.example'})}.{body}.{signature}",
        signed(private, algorithm="RS384"), good.replace(".", "..", 1), f"{part([])}.{body}.{signature}", "A" * 8000,
        f"{base64.urlsafe_b64encode(b'[' * 6000).decode()}.{body}.{signature}",
        f"{base64.urlsafe_b64encode(b'9' * 6000).decode()}.{body}.{signature}",
    ]  # fmt: skip
    for token in forged:
        with pytest.raises(UnsignedError) as found:
            links.proven({**PERSON, "prolific_token": token})
        assert "\n" not in str(found.value)
        assert len(str(found.value)) < 200
    with pytest.raises(UnsignedError, match="not signed"):
        links.proven(PERSON)
    with pytest.raises(UnsignedError, match="names another participant"):
        links.proven({**PERSON, "PROLIFIC_PID": "victim", "prolific_token": good})


def test_keys_are_read_again_when_prolific_changes_them(private, keys, monkeypatch):
    links = SignedLinks(["study1"], keys=str(keys))
    later = signed(private, key="next", kid="next")
    keys.write_text(json.dumps(key_set(private, "next")))
    with pytest.raises(UnsignedError, match="a key that is not Prolific's"):  # not for everybody who asks
        links.proven({"prolific_token": later})
    clock = time.monotonic
    monkeypatch.setattr("audiometamer.listening.signed.time.monotonic", lambda: clock() + 61)
    assert links.proven({"prolific_token": later}) == PERSON
    keys.unlink()
    monkeypatch.setattr("audiometamer.listening.signed.time.monotonic", lambda: clock() + 100_000)
    assert links.proven({"prolific_token": later}) == PERSON


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"keys": []}', '{"keys": [7]}', '{"keys": [{"kty": "oct", "k": "eA"}]}']
)
def test_keys_that_are_none(tmp_path, content):
    path = tmp_path / "jwks.json"
    path.write_text(content)
    with pytest.raises(AudioMetamerError, match=rf"{path} (cannot be read as keys|holds no RSA key)"):
        SignedLinks(["study1"], keys=str(path))


def test_keys_and_addresses_that_cannot_be_reached(tmp_path, keys):
    with pytest.raises(AudioMetamerError, match="none cannot be read as keys: No such file"):
        SignedLinks(["study1"], keys=str(tmp_path / "none"))
    with pytest.raises(AudioMetamerError, match="must begin with https://"):
        SignedLinks(["study1"], keys="http://lab.example/jwks.json")
    with pytest.raises(AudioMetamerError, match=r"https://127\.0\.0\.1:9/jwks\.json cannot be read as keys"):
        SignedLinks(["study1"], keys="https://127.0.0.1:9/jwks.json")
    with pytest.raises(AudioMetamerError, match="'lab' is not an address"):
        SignedLinks(["study1"], keys=str(keys), audience="lab")
