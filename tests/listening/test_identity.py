"""Names that are nobody's, wherever somebody says who they are, and the one form of all others: here and in the page."""

import random
import unicodedata

import pytest
from offline_page import run_page

from audiometamer.listening.enrolment import Participant
from audiometamer.listening.identity import MAX_IDENTITY_LENGTH, identity
from audiometamer.listening.refusals import UnnamedError

NOBODY = [
    "", " ", "\t\n", "\u00a0", "\u200b", "{{%PROLIFIC_PID%}}", "{%PROLIFIC_PID%}", "{{PROLIFIC_PID}}", "${workerId}", "$workerId",
    "%PROLIFIC_PID%", "%7B%7B%25PROLIFIC_PID%25%7D%7D", "[[participant]]", "[participant]", "<id>", "<your id here>", "#{id}",
    "{id}", "x{{id}}", "undefined", "Undefined", "null", "NULL", "None", "none", "NaN", "nan", " undefined ", "PROLIFIC_PID",
    "workerId", "[object Object]", "a\x00b", "a\x7f", "5f00\u202e01", "a\ue000", "x" * (MAX_IDENTITY_LENGTH + 1),
]  # fmt: skip
SOMEBODY = {
    "5f0000000000000000000001": "5f0000000000000000000001", " 5f0000000000000000000001 ": "5f0000000000000000000001",
    "5f0000000000000000000001\u00a0\r\n": "5f0000000000000000000001", "A1B2C3": "A1B2C3", "P  01": "P 01", "0": "0",
    "Zoe\u0308": "Zo\u00eb", "王芳": "王芳", "o'brien@lab.example": "o'brien@lab.example",
    "nullah": "nullah", "a_b-c.d": "a_b-c.d",
    "x" * MAX_IDENTITY_LENGTH: "x" * MAX_IDENTITY_LENGTH, "\U0001f600" * MAX_IDENTITY_LENGTH: "\U0001f600" * MAX_IDENTITY_LENGTH,
}  # fmt: skip


@pytest.mark.parametrize("name", NOBODY)
def test_placeholders_and_the_like_are_nobody(name):
    assert identity(name) is None


@pytest.mark.parametrize(("name", "kept"), SOMEBODY.items())
def test_one_person_has_one_name(name, kept):
    assert identity(name) == kept


def test_the_page_judges_names_as_we_do(static):
    chance = random.Random(0)
    letters = [chr(k) for k in range(0x250) if unicodedata.category(chr(k)) != "Cn"] + list("\u0301\u200b\u2028\u3000\ufeff王{")
    names = [*NOBODY, *SOMEBODY, *("".join(chance.choices(letters, k=3)) for _ in range(3000))]
    (reported,) = run_page(static, [{"do": "identity", "names": names}])
    assert reported == [identity(name) for name in names]


@pytest.mark.parametrize("service", ["prolific", "mturk", "static", "jatos", "psychopy"])
def test_the_store_takes_nobody_and_everybody_once(store, service):
    for name in NOBODY:
        with pytest.raises(UnnamedError, match=f"^{service} does not say who this is$"):
            store.enrol(participant=Participant(service, name, {}))
        with pytest.raises(UnnamedError):
            store.admit(Participant(service, name, {}), 1, [])
    first = store.listener(store.enrol(participant=Participant(service, "Zoe\u0308 ", {})))
    assert store.listener(store.enrol(participant=Participant(service, " Zoë", {}))) == first
    assert store.participant(first).name == "Zoë"
