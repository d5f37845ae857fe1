"""Published checkpoints, with random weights, become models: both forms of keys, read-outs, labels."""

import pickle
from pathlib import Path

import pytest
import torch
from checkpoint_files import HEADS, WORDS, network, published

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.published_checkpoints import import_checkpoint


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


def test_what_does_not_fit_is_reported_briefly(tmp_path, write):
    odd = {f"module.encoder.block{i}.weight": torch.zeros(2) for i in range(300)}
    message = (
        r"its tensors are module\.encoder\.block0\.weight, .* and 297 more; the network's are batchnorm0\.weight, .* and 21 more$"
    )
    with pytest.raises(am.AudioMetamerError, match=message) as reported:
        import_checkpoint(write(odd), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert len(str(reported.value).removeprefix(str(tmp_path))) < 300
    half = dict(list(network("cochcnn9").state_dict().items())[:10])
    with pytest.raises(am.AudioMetamerError, match=r"holds no read-out|missing: .* more") as reported:
        import_checkpoint(write(half), network="cochcnn9", labels={"word": WORDS}, out=tmp_path / "new")
    assert len(str(reported.value).removeprefix(str(tmp_path))) < 300


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


def test_a_folder_within_a_file(tmp_path, write):
    path = write(published(network("cochcnn9")))
    with pytest.raises(am.AudioMetamerError, match=r"^could not write .*checkpoint\.pt.new: Not a directory") as reported:
        import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=path / "new")
    assert "\n" not in str(reported.value)
    with pytest.raises(am.AudioMetamerError, match=r"could not write .*further.new: Not a directory"):
        import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=path / "further" / "new")


def test_the_command(tmp_path, write, capsys):
    path = write(published(network("cochcnn9")))
    labels, out = tmp_path / "labels.txt", tmp_path / "mine"
    labels.write_text("\n".join(WORDS))
    command = ["import-checkpoint", str(path), "--network", "cochcnn9", "--labels", str(labels), "--out", str(out)]
    assert main(command) == 0
    reported = capsys.readouterr()
    assert "is a model" in reported.out
    assert f"audiometamer null SOUNDS --model {out} --out {out}/null.json" in reported.err
    assert main(command) == 2
    assert "exists already" in capsys.readouterr().err
    labels.with_suffix(".pckl").write_bytes(pickle.dumps({"word_idx_to_word": dict(enumerate(WORDS))}))
    assert main([*command[:-3], str(labels.with_suffix(".pckl")), "--out", str(tmp_path / "published")]) == 0
    assert am.load_model(tmp_path / "published").labels == {"word": WORDS}
    capsys.readouterr()
    labels.with_suffix(".toml").write_text("word = 3")
    assert main([*command[:-3], str(Path(labels).with_suffix(".toml")), "--out", str(tmp_path / "other")]) == 2
    assert "is not a list of labels" in capsys.readouterr().err
