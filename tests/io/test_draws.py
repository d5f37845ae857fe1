"""Names and random numbers: the same for the same seed and key, as they were where there is no key, and else unforeseeable."""

import stat

import numpy as np
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.io.draws import Draws, keyed_draws, read_key, write_key


def numbers(draws, *purpose):
    return draws.generator(*purpose).random(4).tolist()


def test_seed_and_key_decide_everything():
    one = Draws(1, b"a key")
    assert one.name("a sound") == Draws(1, b"a key").name("a sound")
    assert numbers(one, 3, 1) == numbers(Draws(1, b"a key"), 3, 1)
    others = [Draws(2, b"a key"), Draws(1, b"another"), Draws(1, None), keyed_draws(1, None), keyed_draws(1, None)]
    assert len({each.name("a sound") for each in (one, *others)}) == 6
    assert len({tuple(numbers(each, 3, 1)) for each in (one, *others)}) == 6
    assert len({tuple(numbers(one, *purpose)) for purpose in ((3, 1), (31,), (3,), (1, 3), (3, 11))}) == 5


def test_without_a_key_they_are_what_they_were():
    """Explorations that were built before there were keys go on with the names that are in the answers."""
    old = Draws(1, None)
    assert (old.name("headphones 0"), Draws(0, None).name("x")) == ("m6c5zn62sf", "gtvsxq4wv4")
    assert old.subseed(11, 2) == int(np.random.default_rng([1, 11, 2]).integers(2**31))
    assert numbers(old, 3, 1) == np.random.default_rng([1, 3, 1]).random(4).tolist()


def test_a_key_is_written_for_its_owner_and_read_again(tmp_path):
    draws = keyed_draws(1, None)
    write_key(tmp_path / "names.key", draws)
    assert stat.S_IMODE((tmp_path / "names.key").stat().st_mode) == 0o600
    assert keyed_draws(1, tmp_path / "names.key") == draws
    assert len(read_key(tmp_path / "names.key")) == 32
    assert draws.key.hex() not in repr(draws)


@pytest.mark.parametrize("content", ["", "0123456789abcdef" * 2 + "0", "01" * 15, "xy" * 32, "0" * 2000, "é" * 40])
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "names.key"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(AudioMetamerError, match=r"names\.key is no key: it must hold 32 or more") as error:
        read_key(path)
    assert len(str(error.value)) < 400


def test_keys_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(AudioMetamerError, match="cannot be read as a key: "):
            read_key(path)
