"""Checkpoints in the published layout, with random weights: both forms of keys, the duplicates, the front-end buffers."""

import argparse
import pickle
import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.checkpoints import read_checkpoint
from audiometamer.models.published_checkpoints import import_checkpoint
from audiometamer.models.state_dicts import network_state
from audiometamer.networks import CochCNN9, CochResNet50

WORDS = ["__nullSignal__", "about", "above"]
HEADS = {"signal/word_int": WORDS, "signal/speaker_int": ["anna", "bert"], "noise/labels_binary_via_int": ["wind"]}


class NotPlain:
    """Something that a pickle of tensors and containers does not hold, as the optimisers and schedules in published files are."""


def network(kind, outputs=3):
    torch.manual_seed(0)
    made = CochCNN9(outputs, width=0.05) if kind == "cochcnn9" else CochResNet50(outputs, width=0.07, blocks=(1, 2, 1, 1))
    return made.eval()


def published(made, *, numbered=True, extra=None):
    """The layout of a published file around a network's tensors."""
    inner = "module.model.1." if numbered else "module.model."
    tensors = {}
    for key, tensor in made.state_dict().items():
        tensors[inner + key] = tensor
        tensors["module.attacker.model." + key] = tensor + 1
    front = "module.model.0." if numbered else "module.preproc."
    tensors[front + "full_rep.rep.cochlear_filters"] = torch.zeros(4, 9)
    tensors["module.attacker.preproc.full_rep.rep.window"] = torch.zeros(3)
    tensors["module.preproc.mean"] = torch.zeros(1)
    return {"model": tensors, "optimizer": extra or {"state": {}}, "schedule": None, "epoch": 150}


@pytest.fixture
def write(tmp_path):
    def written(content, **options):
        path = tmp_path / "checkpoint.pt"
        torch.save(content, path, **options)
        return path

    return written


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("kind", ["cochcnn9", "cochresnet50"])
def test_both_forms_of_keys(tmp_path, write, kind, numbered):
    made = network(kind)
    import_checkpoint(write(published(made, numbered=numbered)), network=kind, labels={"word": WORDS}, out=tmp_path / "imported")
    model = am.load_model(tmp_path / "imported")
    assert model.label("word", 0) == "__nullSignal__"
    sound = 0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model(sound), made(am.Cochleagram()(sound)), rtol=0, atol=0)


def test_several_heads(tmp_path, write):
    made = network("cochcnn9", {task: len(names) for task, names in HEADS.items()})
    import_checkpoint(write(published(made)), network="cochcnn9", labels=HEADS, out=tmp_path / "three")
    model = am.load_model(tmp_path / "three")
    assert model.layers[-3:] == tuple(f"final/{task}" for task in HEADS)
    assert model.label("signal/speaker_int", 1) == "bert"
    sound = 0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        recorded, output = am.record(model, sound, model.layers[-3:]), model(sound)
    for task in HEADS:
        torch.testing.assert_close(recorded[f"final/{task}"], output[task])
        assert model.tasks_determined_by(f"final/{task}/units=0", HEADS) == [task]
    assert model.card.multi_label == ["noise/labels_binary_via_int"]  # no other task's sounds have several labels


def test_the_task_of_noises_has_several_labels(tmp_path, write):
    import_checkpoint(write(published(network("cochcnn9"))), network="cochcnn9", labels={"noise": WORDS}, out=tmp_path / "noises")
    assert am.load_model(tmp_path / "noises").card.multi_label == ["noise"]


def test_a_bare_state_dict(write):
    made = network("cochcnn9")
    state, _ = network_state(read_checkpoint(write(made.state_dict())), made.state_dict())
    assert state.keys() == made.state_dict().keys()


@pytest.mark.parametrize("newer", [True, False])
def test_what_is_not_plain_needs_trust(write, newer):
    path = write(published(network("cochcnn9"), extra={"made by": NotPlain()}), _use_new_zipfile_serialization=newer)
    with pytest.raises(am.AudioMetamerError, match=r"test_checkpoints.NotPlain.*--trust"):
        read_checkpoint(path)
    assert "module.preproc.mean" in read_checkpoint(path, trust=True)["model"]


PREFIXES = ("", "module.", "model.", "module.model.", "_orig_mod.", "network.", "encoder.net.0.", "student.backbone.")


@pytest.mark.parametrize("under", [(), ("state_dict",), ("model",), ("model_state_dict",), ("checkpoint", "net")])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_are_found_in_whatever_was_saved(write, under, prefix):
    state = network("cochresnet50").state_dict()
    content = {prefix + key: tensor for key, tensor in state.items()}
    if prefix:
        content |= {"n_averaged": torch.tensor(3), "normalizer.new_mean": torch.zeros(3, 1, 1), "criterion.weight": torch.ones(3)}
    for key in reversed(under):
        content = {
            key: content,
            "epoch": 90,
            "best_acc1": torch.tensor(70.1),
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        }
    found, _ = network_state(read_checkpoint(write(content)), state)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_wrappers_around_single_modules_and_lists(write):
    state = network("cochresnet50").state_dict()
    wrapped = {f"module.{key.replace('layer2.', 'layer2._orig_mod._fsdp_wrapped_module.')}": t for key, t in state.items()}
    for content in (wrapped, [wrapped, {"epoch": 3}], {"models": (wrapped,)}):
        found, _ = network_state(read_checkpoint(write(content)), state.keys())
        assert found.keys() == state.keys()


def test_the_network_itself_is_preferred_to_its_copies(write):
    state = network("cochcnn9").state_dict()
    ema = {key: tensor + 1 for key, tensor in state.items()}
    twins = {f"module.attacker.model.{key}": tensor + 1 for key, tensor in state.items()}
    for content in ({"model_ema": ema, "model": state}, {"teacher": ema, "student": state}, {"model": twins | state}):
        found, _ = network_state(read_checkpoint(write(content)), state.keys())
        assert all(torch.equal(found[key], state[key]) for key in state)
    alone, _ = network_state(read_checkpoint(write({"state_dict_ema": ema, "epoch": 3})), state.keys())
    assert all(torch.equal(alone[key], ema[key]) for key in state)


def test_two_equally_good_networks_are_told(write):
    state = network("cochcnn9").state_dict()
    content = {"left": state, "right": {key: tensor + 1 for key, tensor in state.items()}}
    with pytest.warns(am.AudioMetamerWarning, match="those under 'left' are taken, not right"):
        assert torch.equal(network_state(read_checkpoint(write(content)), state.keys())[0]["conv0.weight"], state["conv0.weight"])
    content["right"] = dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert network_state(read_checkpoint(write(content)), state.keys())[0].keys() == state.keys()


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
    with pytest.raises(am.AudioMetamerError, match=r"torch\.nn\.modules\.linear\.Linear.*; if you trust whoever made it, say so"):
        read_checkpoint(path)
    assert network_state(read_checkpoint(path, trust=True), ["weight", "bias"])[0].keys() == {"weight", "bias"}


def test_half_precision_and_no_counters_of_batches(tmp_path, write):
    made = network("cochcnn9")
    state = {key: tensor.half() for key, tensor in made.state_dict().items() if not key.endswith("num_batches_tracked")}
    import_checkpoint(write(state), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "half")
    imported = am.load_model(tmp_path / "half").network
    assert imported.conv0.weight.dtype == torch.float32
    assert torch.equal(imported.conv0.weight, made.conv0.weight.half().float())


@pytest.mark.parametrize(("key", "bad"), [("classification.weight", float("nan")), ("batchnorm1.running_var", float("inf"))])
def test_weights_that_are_not_finite(tmp_path, write, key, bad):
    state = network("cochcnn9").state_dict()
    state[key].flatten()[1] = bad
    path = write(state)
    with pytest.raises(am.AudioMetamerError, match=rf"checkpoint\.pt has weights that are not finite: {key} \(1 of \d+\)$"):
        import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt"}


@pytest.mark.parametrize(
    ("published_name", "ours", "layers"),
    [
        ("kell2018", "cochcnn9", {"relu0_fakerelu": "relu0", "relufc_fakerelu": "relufc"}),
        ("resnet50", "cochresnet50", {"conv1_relu1_fake_relu": "conv1_relu1", "layer4_fake_relu": "layer4"}),
    ],
)
def test_published_names(tmp_path, write, published_name, ours, layers):
    import_checkpoint(write(published(network(ours))), network=published_name, labels={"word": WORDS}, out=tmp_path / "imported")
    model = am.load_model(tmp_path / "imported")
    assert model.card.network.name == type(network(ours)).__name__
    sound = 0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(1))
    for alias, layer in {"input_after_preproc": "cochleagram", "avgpool": "avgpool", **layers}.items():
        assert model.canonical(alias) == layer
        assert torch.equal(am.record(model, sound, alias), am.record(model, sound, layer))


def test_what_does_not_fit_is_named(tmp_path, write):
    content = published(network("cochcnn9"))
    content["model"]["module.model.1.conv9.weight"] = content["model"].pop("module.model.1.conv2.weight")
    content["model"]["module.model.1.conv3.weight"] = torch.zeros(2, 2)
    where = r"checkpoint\.pt \(under 'model\.module\.model\.1'\) does not fit CochCNN9: "
    message = where + r"missing: conv2.weight; left over: conv9.weight; of another shape: conv3.weight$"
    with pytest.raises(am.AudioMetamerError, match=message):
        import_checkpoint(write(content), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.pt"}


def test_what_does_not_fit_is_told_briefly(tmp_path, write):
    odd = {f"module.encoder.block{i}.weight": torch.zeros(2) for i in range(300)}
    message = (
        r"its tensors are module\.encoder\.block0\.weight, .* and 297 more; the network's are batchnorm0\.weight, .* and 21 more$"
    )
    with pytest.raises(am.AudioMetamerError, match=message) as told:
        import_checkpoint(write(odd), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert len(str(told.value).removeprefix(str(tmp_path))) < 300
    half = dict(list(network("cochcnn9").state_dict().items())[:10])
    with pytest.raises(am.AudioMetamerError, match=r"holds no read-out|missing: .* more") as told:
        import_checkpoint(write(half), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert len(str(told.value).removeprefix(str(tmp_path))) < 300


def test_labels_must_fit(tmp_path, write):
    with pytest.raises(am.AudioMetamerError, match="has outputs word: 3; the labels are word: 2"):
        import_checkpoint(
            write(published(network("cochcnn9"))), network="cochcnn9", labels={"word": WORDS[:2]}, out=tmp_path / "new"
        )


def test_labels_of_more_tasks_than_the_checkpoint_has(tmp_path, write):
    """As the published label file names words and speakers, whichever of them a network was trained on."""
    labels = {"speaker": ["anna", "bert"], "word": WORDS}
    import_checkpoint(write(published(network("cochcnn9"))), network="cochcnn9", labels=labels, out=tmp_path / "one")
    assert am.load_model(tmp_path / "one").labels == {"word": WORDS}
    heads = {"signal/word_int": 3, "signal/speaker_int": 2}
    import_checkpoint(write(published(network("cochcnn9", heads))), network="cochcnn9", labels=labels, out=tmp_path / "two")
    assert am.load_model(tmp_path / "two").labels == {"signal/word_int": WORDS, "signal/speaker_int": ["anna", "bert"]}


def test_labels_that_could_be_either(tmp_path, write):
    labels = {"word": WORDS, "speaker": ["anna", "bert", "carl"]}
    with pytest.raises(am.AudioMetamerError, match="has outputs word or speaker: 3; the labels are word: 3, speaker: 3"):
        import_checkpoint(write(published(network("cochcnn9"))), network="cochcnn9", labels=labels, out=tmp_path / "new")


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
def test_what_torch_did_not_write_is_told_without_advice_to_trust_it(tmp_path, content, reason, trust):
    (tmp_path / "page.pt").write_bytes(content)
    with pytest.raises(am.AudioMetamerError, match=rf"page\.pt is not a file that torch\.save wrote: {reason}") as told:
        read_checkpoint(tmp_path / "page.pt", trust=trust)
    assert "--trust" not in str(told.value)
    assert "\n" not in str(told.value)


def test_a_pickle_that_asks_for_nothing_gets_no_advice_to_trust_it(tmp_path):
    (tmp_path / "odd.pt").write_bytes(b"\x80\x02garbage")
    with pytest.raises(am.AudioMetamerError, match=r"is not a file that torch\.save wrote: Unsupported operand") as told:
        read_checkpoint(tmp_path / "odd.pt")
    assert "--trust" not in str(told.value)


def test_a_folder_within_a_file(tmp_path, write):
    path = write(published(network("cochcnn9")))
    with pytest.raises(am.AudioMetamerError, match=r"^could not write .*checkpoint\.pt.new: Not a directory") as told:
        import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=path / "new")
    assert "\n" not in str(told.value)
    with pytest.raises(am.AudioMetamerError, match=r"could not write .*further.new: Not a directory"):
        import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=path / "further" / "new")


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


def test_containers_that_hold_themselves_are_searched_once(write):
    content = {"conv.weight": torch.zeros(3)}
    content["self"] = content
    laughs = [content]
    for _ in range(60):
        laughs = [laughs, laughs]
    deep = []
    for _ in range(5000):
        deep = [deep]
    state, _ = network_state({"a": laughs, "b": deep}, ["conv.weight"])
    assert list(state) == ["conv.weight"]


def test_the_command(tmp_path, write, capsys):
    path = write(published(network("cochcnn9")))
    labels, out = tmp_path / "labels.txt", tmp_path / "mine"
    labels.write_text("\n".join(WORDS))
    command = ["import-checkpoint", str(path), "--network", "cochcnn9", "--labels", str(labels), "--out", str(out)]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "is a model" in told.out
    assert f"audiometamer null SOUNDS --model {out} --out {out}/null.json" in told.err
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    labels.with_suffix(".pckl").write_bytes(pickle.dumps({"word_idx_to_word": dict(enumerate(WORDS))}))
    assert main([*command[:-3], str(labels.with_suffix(".pckl")), "--out", str(tmp_path / "published")]) == 0
    assert am.load_model(tmp_path / "published").labels == {"word": WORDS}
    capsys.readouterr()
    labels.with_suffix(".toml").write_text("word = 3")
    assert main([*command[:-3], str(Path(labels).with_suffix(".toml")), "--out", str(tmp_path / "other")]) == 2
    assert "is not a list of labels" in capsys.readouterr().err


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
