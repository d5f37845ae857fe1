"""What is read of a ladder, whoever made it."""

import pytest
import torch
from msgspec.structs import replace
from tiny_exploration import sound_dimensions
from tiny_ladder import RATE, record, write_ladder, write_moved_stimulus

from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.ladder_files import read_moved_stimuli, write_moves
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.files import write_json
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table


def test_what_is_there_by_dimension_reference_and_change(tmp_path):
    write_ladder(tmp_path, dimensions=("relu10/0/+", "relu2/1/-", "relu2/1/+", "relu2/0/-"))
    write_moved_stimulus(tmp_path, record("relu2/0/-", "third", 0.05))
    found = read_ladder(tmp_path)
    assert found.dimensions == ["relu2/0/-", "relu2/1/+", "relu2/1/-", "relu10/0/+"]
    assert found.references("relu2/0/-") == ["noise", "third", "vowel"]
    assert found.references("relu2/1/-") == ["noise", "vowel"]
    assert found.changes("relu2/1/-", "vowel") == [0.1, 0.2, 0.4]
    assert found.changes("relu2/0/-", "third") == [0.05]
    assert len(found.all) == 25
    assert (found.model, found.weights_sha256, found.sample_rate) == ("tiny", "weights", RATE)
    assert found.dimensions_sha256 == {"relu2": "dimensions of relu2", "relu10": "dimensions of relu10"}


@pytest.mark.parametrize(("requested", "made"), [(0.001, 0.1), (0.14, 0.1), (0.142, 0.2), (0.2, 0.2), (0.3, 0.4), (9.0, 0.4)])
def test_the_nearest_in_ratio(tmp_path, requested, made):
    write_ladder(tmp_path)
    assert read_ladder(tmp_path).nearest("relu0/0/+", "vowel", requested).record.requested == made


def test_signals_are_read_when_asked_for(tmp_path):
    write_ladder(tmp_path)
    found = read_ladder(tmp_path)
    assert float(found.nearest("relu0/0/-", "noise", 0.4).read()[0]) == pytest.approx(0.4)
    clip = found.clip("noise")
    assert (clip.name, clip.sample_rate, clip.samples.dtype, clip.samples.shape) == ("noise", RATE, torch.float32, (1000,))


def test_what_is_being_made_is_passed_over(tmp_path):
    write_ladder(tmp_path)
    for name in (".making/x.json", "vowel/.0123abcd-relu0_0_+9.json", "vowel/relu0_0_+9.wav", "moves.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    assert len(read_ladder(tmp_path).all) == 12


def test_a_row_for_each(tmp_path):
    write_ladder(tmp_path)
    write_moves(tmp_path, read_moved_stimuli(tmp_path))
    rows = read_table(tmp_path / "moves.tsv")
    assert len(rows) == 12
    assert (rows[0]["file"], rows[0]["original"], rows[0]["wished"]) == ("noise/relu0_0_+0.1.wav", "noise/original.wav", "0.1")


def test_what_is_wrong_with_a_ladder_is_reported_in_a_line(tmp_path):
    def reported(match):
        with pytest.raises(AudioMetamerError, match=match) as caught:
            read_ladder(tmp_path)
        assert "\n" not in str(caught.value)

    def left_out(count, match):
        with pytest.warns(AudioMetamerWarning, match=match):
            assert len(read_ladder(tmp_path).all) == len(stimuli) - count

    reported("holds no moved signals: make them with explore ladder")
    first, *_ = stimuli = write_ladder(tmp_path)
    of_it, reference = first.path.with_suffix(".json"), first.original.read_bytes()
    content = of_it.read_bytes()
    for damaged in (b"", content[:-20], content.replace(b'"reached"', b'"reach"')):
        of_it.write_bytes(damaged)
        left_out(
            1, r"vowel/relu0_0_\+0.1.json is not the record of a moved signal: .*: counts as not made; explore ladder makes it"
        )
    of_it.write_bytes(content)
    first.original.write_bytes(reference[:-1])
    left_out(len(stimuli) // 2, r"vowel/original.wav, the original of relu0_0_\+0.1.json, is cut short \(and \d+ more like it\)")
    first.original.write_bytes(reference)
    other = write_moved_stimulus(tmp_path, record(requested=0.8, weights_sha256="others"))
    reported(
        r"signals of different models: noise/relu0_0_\+0.1.wav and vowel/relu0_0_\+0.8.wav; keep each in a folder of its own"
    )
    write_moved_stimulus(tmp_path, record(requested=0.8, dimensions_sha256="others"))
    reported("signals of different dimensions: ")
    other.path.unlink()
    left_out(0, r"relu0_0_\+0.8.wav, the signal of relu0_0_\+0.8.json, is gone")


def test_what_a_ladder_has_not_is_reported_with_what_it_has(tmp_path, tiny):
    write_ladder(tmp_path)
    found = read_ladder(tmp_path)
    for match, ask in (
        (r"has no dimension 'relu9/0/\+'; it has relu0/0/\+, relu0/0/-", lambda: found.references("relu9/0/+")),
        (r"has no reference 'song' moved along relu0/0/-; it has noise, vowel", lambda: found.changes("relu0/0/-", "song")),
        ("has no reference 'song'", lambda: found.clip("song")),
        ("a change of 0 is requested; it must be above 0", lambda: found.nearest("relu0/0/-", "vowel", 0)),
        ("moved at relu0; the dimensions are of none", lambda: found.check({})),
        ("moved at relu0 with other weights", lambda: found.check(sound_dimensions(tiny))),
    ):
        with pytest.raises(AudioMetamerError, match=match):
            ask()


def test_signals_that_were_swapped_are_reported(tmp_path):
    write_ladder(tmp_path / "ladder")
    stimulus = read_ladder(tmp_path / "ladder").all[0]
    known = replace(stimulus.record, signal_sha256=file_sha256(stimulus.path), original_sha256=file_sha256(stimulus.original))
    write_json(stimulus.path.with_suffix(".json"), known)
    read_ladder(tmp_path / "ladder").check_files()
    for path in (stimulus.path, stimulus.original):
        content = path.read_bytes()
        path.write_bytes(content[:-4] + b"else")
        with pytest.raises(AudioMetamerError, match=r"is not what .*\.json was written for; delete both"):
            read_ladder(tmp_path / "ladder").check_files()
        path.write_bytes(content)
