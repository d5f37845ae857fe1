"""Files of weights: what is read, what needs trust, and what is refused in one line."""

import argparse
import pickle
import re
import zipfile

import numpy as np
import pytest
import torch
from checkpoint_files import NotPlain, network, published
from safetensors.torch import save_file

import audiometamer as am
from audiometamer.models.checkpoints import read_checkpoint
from audiometamer.models.state_dicts import network_state


@pytest.mark.parametrize("newer", [True, False])
def test_what_is_not_plain_needs_trust(write, newer):
    path = write(published(network("cochcnn9"), extra={"made by": NotPlain()}), _use_new_zipfile_serialization=newer)
    with pytest.raises(am.AudioMetamerError, match=r"checkpoint_files.NotPlain.*--trust"):
        read_checkpoint(path)
    assert "module.preproc.mean" in read_checkpoint(path, trust=True)["model"]


def test_numbers_of_numpy_and_arguments_stand_beside_weights(write):
    state = network("cochcnn9").state_dict()
    content = {
        "model": state,
        "best": np.float64(0.7),
        "history": np.arange(3.0),
        "classes": np.int64(3),
        "args": argparse.Namespace(lr=0.1, arch="kell2018"),
    }
    read = read_checkpoint(write(content))
    assert (read["best"], read["history"], read["classes"], read["args"].lr) == (0.7, [0.0, 1.0, 2.0], 3, 0.1)
    assert network_state(read, state.keys())[0].keys() == state.keys()


def test_safetensors(tmp_path):
    state = network("cochcnn9").state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "weights.safetensors")["conv0.weight"], state["conv0.weight"])
    (tmp_path / "weights.safetensors").write_bytes(b"PK\x03\x04 and so on")
    with pytest.raises(am.AudioMetamerError, match=r"weights\.safetensors is not a safetensors file: "):
        read_checkpoint(tmp_path / "weights.safetensors")


def test_a_whole_module_needs_trust(write):
    path = write(torch.nn.Linear(2, 3))
    with pytest.raises(am.AudioMetamerError, match=r"torch\.nn\.modules\.linear\.Linear.*; if you trust its source, say so"):
        read_checkpoint(path)
    assert network_state(read_checkpoint(path, trust=True), ["weight", "bias"])[0].keys() == {"weight", "bias"}


def test_other_files(tmp_path, write):
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps({"model": 1}, protocol=2))
    with pytest.raises(am.AudioMetamerError, match=r"is not a file that torch\.save wrote"):
        read_checkpoint(tmp_path / "empty.pt")
    with pytest.raises(am.AudioMetamerError, match=r"plain\.pkl is not a file that torch"):
        read_checkpoint(tmp_path / "plain.pkl")
    with pytest.raises(am.AudioMetamerError, match="holds no state dict"):
        network_state(read_checkpoint(write({"epoch": 3})), ["weight"])
    with pytest.raises(am.AudioMetamerError, match=r"is not a file$"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"it is empty \(0 bytes\)"),
        (b"<!DOCTYPE html><p>Sign in</p>", "it begins with b'<!DOCTYPE html><p>Si'"),
        (b'{"word": 1}', "it begins with "),
        (b"hello", "it begins with b'hello'"),
        (b"\x80\x04\x95", r"it begins with b'\\x80\\x04"),  # of pickle.dump
        (b"\x80\x02}q", r"\w+"),
    ],
)
def test_what_torch_did_not_write_is_refused_without_advice_to_trust_it(tmp_path, content, reason, trust):
    (tmp_path / "page.pt").write_bytes(content)
    with pytest.raises(am.AudioMetamerError, match=rf"page\.pt is not a file that torch\.save wrote: {reason}") as reported:
        read_checkpoint(tmp_path / "page.pt", trust=trust)
    assert "--trust" not in str(reported.value)
    assert "\n" not in str(reported.value)


def test_a_pickle_that_asks_for_nothing_gets_no_advice_to_trust_it(tmp_path):
    (tmp_path / "odd.pt").write_bytes(b"\x80\x02garbage")
    with pytest.raises(am.AudioMetamerError, match=r"is not a file that torch\.save wrote: Unsupported operand") as reported:
        read_checkpoint(tmp_path / "odd.pt")
    assert "--trust" not in str(reported.value)


def rewritten(path, change, compression=zipfile.ZIP_STORED):
    """A checkpoint with the content of its parts changed, by name."""
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: archive.read(part) for part in archive.infolist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, change.get(name.split("/")[-1], content))
    return path


def refused(path):
    with pytest.raises(am.AudioMetamerError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_archive_that_would_unpack_to_more_than_it_is(write):
    path = rewritten(write({"w": torch.zeros(3)}), {"0": bytes(10_000_000)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 50_000
    assert re.search(r"is not a file that torch\.save wrote: it would unpack to 10,\d+,\d+ bytes", refused(path))


def test_an_archive_of_several_disks_is_one_line(write):
    path = write({"w": torch.zeros(3)})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\x06\x07") + 16] = 7  # of how many, in the locator of the archive's end
    path.write_bytes(content)
    assert "is not a file that torch.save wrote: zipfiles that span multiple disks" in refused(path)


def test_an_archive_without_check_sums_is_read(write):
    torch.serialization.set_crc32_options(False)
    try:
        path = write({"w": torch.arange(3.0)})
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(path)["w"], torch.arange(3.0))


@pytest.mark.parametrize("shape", [(10**6, 10**6), (10**9,)])
def test_one_number_in_the_shape_of_many_is_refused(write, shape):
    path = write({"model": {"fullyconnected.bias": torch.zeros(1).expand(shape)}})
    assert "holds fewer numbers than the shape of fullyconnected.bias" in refused(path)


def test_tensors_that_hold_no_numbers_are_refused(write):
    assert "holds fewer numbers than the shape of w" in refused(write({"w": torch.empty(10**12, device="meta")}))


@pytest.mark.parametrize("newer", [True, False])
def test_keys_that_would_take_without_end_to_hash_are_refused(write, newer):
    key = b"\x80\x02})" + b"".join(b"q%ch%c\x86" % (k, k) for k in range(60)) + b"K\x01s."  # 2^60 empty tuples
    path = write({"w": torch.zeros(3)}, _use_new_zipfile_serialization=newer)
    if newer:
        rewritten(path, {"data.pkl": key})
    else:
        path.write_bytes(pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2) + key)
    assert "is not a file that torch.save wrote: its keys are tuples of tuples without end" in refused(path)


@pytest.mark.filterwarnings("error")
def test_every_beginning_of_a_checkpoint_is_one_line_or_read(tmp_path, write):
    """Whatever is missing at the end, in the format of today and in the one before torch 1.6."""
    for legacy in (False, True):
        torch.save({"weight": torch.arange(9.0)}, tmp_path / "whole.pt", _use_new_zipfile_serialization=not legacy)
        whole = (tmp_path / "whole.pt").read_bytes()
        for n_bytes in range(4, len(whole), max(len(whole) // 40, 1)):
            (tmp_path / "cut.pt").write_bytes(whole[:n_bytes])
            with pytest.raises(am.AudioMetamerError, match=r"^[^\n]{,300}$"):
                read_checkpoint(tmp_path / "cut.pt", trust=True)


def content_or_error(path):
    try:
        return read_checkpoint(path)
    except am.AudioMetamerError as error:
        return str(error)


def test_bytes_that_are_changed_are_one_line_or_read(tmp_path):
    rng = np.random.default_rng(0)
    for legacy in (False, True):
        torch.save({"weight": torch.arange(9.0)}, tmp_path / "whole.pt", _use_new_zipfile_serialization=not legacy)
        whole = np.frombuffer((tmp_path / "whole.pt").read_bytes(), np.uint8)
        for _ in range(60):
            changed = whole.copy()
            changed[rng.integers(4, min(len(whole), 400), 5)] = rng.integers(0, 256, 5)
            (tmp_path / "changed.pt").write_bytes(changed.tobytes())
            found = content_or_error(tmp_path / "changed.pt")
            assert isinstance(found, dict) or "\n" not in found
