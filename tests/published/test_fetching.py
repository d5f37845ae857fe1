"""Published networks come from look-alike archives, whole and checked, and work everywhere by their names."""

import gzip
import shutil
import tarfile

import pytest
import torch
from checkpoint_files import NotPlain, network, published
from local_server import Served
from look_alikes import WORD_RUN, tar_of

import audiometamer as am
from audiometamer.io.locks import file_lock
from audiometamer.published.fetching import clean, get, get_all, sizes
from audiometamer.published.listeners import read_published

FIRST = "feather2023/cochcnn9"
ROBUST = "feather2023/cochresnet50-l2-1-robust-cochleagram"
ARCHIVE = "pytorch_metamers_audio_model_checkpoints.tar"
SOUND = 0.1 * torch.randn(1, 40_000, generator=torch.Generator().manual_seed(1))


def assert_same(model, made):
    with torch.no_grad():
        expected = made(am.Cochleagram()(SOUND))
        found = model(SOUND)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_networks_of_an_archive_come_together_and_once(server, home, originals):
    shown = []
    folders = get_all([FIRST, ROBUST], progress=lambda done, _message: shown.append(done))
    assert folders == {name: home / "models" / name for name in (FIRST, ROBUST)}
    for name in folders:
        model = am.load_model(name)
        assert (model.name, model.card.paper, model.card.licence) == (name, "Feather et al. (2023)", "MIT")
        assert_same(model, originals[name])
    assert am.load_model(ROBUST).layers == ("cochleagram", "conv1_relu1", "layer1", "layer4", "avgpool", "final")
    (limit,) = am.load_model(FIRST).card.limits
    assert limit.endswith("91.23 % of the metamers of the cochleagrams of their clips are labelled correctly.")
    archive = [request for request in server.log if request.path == ARCHIVE]
    assert sum(request.sent for request in archive) < len(server.files[ARCHIVE].content) - 1_500_000  # without most of another
    assert not list(home.rglob("*.pt"))
    assert len(list((home / "downloads").rglob("*.pt.sha256"))) == 2
    assert shown == sorted(shown)
    assert sum(done >= 1 for done in shown) == 1  # not when the labels have come
    requests = len(server.log)
    assert get(FIRST) == folders[FIRST]
    assert len(server.log) == requests


def test_a_network_of_several_read_outs_and_a_control(server, originals):
    get_all(["tuckute2023/cochcnn9-speaker", "tuckute2023/cochcnn9-word-permuted"])
    model = am.load_model("tuckute2023/cochcnn9-speaker")
    assert_same(model, originals["tuckute2023/cochcnn9-speaker"])
    assert model.layers == ("cochleagram", "conv0", "relu0", "final/signal/speaker_int")
    assert model.labels["signal/speaker_int"] == ["anna", "bert"]
    assert model.labels["noise/labels_binary_via_int"] == ["wind"]
    assert model.card.limits[1:] == [
        "Its read-out signal/word_int was not trained.",
        "Its read-out noise/labels_binary_via_int was not trained.",
    ]
    assert_same(am.load_model("tuckute2023/cochcnn9-word"), originals["tuckute2023/cochcnn9-word"])
    control = am.load_model("tuckute2023/cochcnn9-word-permuted").network.conv0.weight
    before = originals["tuckute2023/cochcnn9-word"].conv0.weight
    assert not torch.equal(control, before)
    assert torch.equal(control.flatten().sort()[0], before.flatten().sort()[0])


def stopping_after(calls):
    def progress(_done, message):
        nonlocal calls
        calls -= "kell2018" in message
        if calls < 0:
            raise KeyboardInterrupt

    return progress


def test_interrupted_twice_and_resumed(server, home, originals):
    for calls in (3, 5):
        with pytest.raises(KeyboardInterrupt):
            get(FIRST, progress=stopping_after(calls))
        assert not (home / "models" / FIRST).exists()
    said = []
    get(FIRST, notify=said.append)
    assert any("kell2018_wsn_word.pt: continues after " in line for line in said)
    assert_same(am.load_model(FIRST), originals[FIRST])


def test_another_file_than_the_first_time_is_refused(server, home, archives):
    get(FIRST)
    clean([FIRST])
    other = tar_of({"pytorch_checkpoints/kell2018_wsn_word.pt": b"another"})
    server.files[ARCHIVE] = Served(other, etag='"2"')
    with pytest.raises(
        am.AudioMetamerError,
        match=r"kell2018_wsn_word\.pt of http:\S+ has the SHA-256 \w+, not .*, delete .*sha256$",
    ):
        get(FIRST)
    assert not (home / "models" / FIRST).exists()


def test_a_hash_of_the_registry_is_compulsory(server, archives):
    name = "word_and_speaker_encodings_jsinv3.pckl"
    server.files[name] = Served(archives[name] + b"more")
    with pytest.raises(am.AudioMetamerError, match="has the SHA-256"):
        get(FIRST)


def test_from_archives_and_files_that_one_has(server, tmp_path, archives, originals):
    archive, labels = tmp_path / "mine.tar", tmp_path / "word_and_speaker_encodings_jsinv3.pckl"
    archive.write_bytes(archives[ARCHIVE])
    labels.write_bytes(archives[labels.name])
    get(FIRST, sources=[labels, archive])
    assert_same(am.load_model(FIRST), originals[FIRST])
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "unpacked", filter="data")
    get(ROBUST, sources=[tmp_path / "unpacked" / "pytorch_checkpoints" / "cochresnet_wsn_word_l2_1_robust_cochleagram.pt"])
    assert_same(am.load_model(ROBUST), originals[ROBUST])
    assert server.log == []


def test_from_a_folder_that_an_archive_was_unpacked_into(server, tmp_path, archives, originals):
    (tmp_path / "cochdnn.tar").write_bytes(archives["cochdnn_model_checkpoints.tar"])
    with tarfile.open(tmp_path / "cochdnn.tar") as opened:
        opened.extractall(tmp_path / "cochdnn", filter="data")
    with pytest.raises(am.AudioMetamerError, match=r"feather2023/labels is made from word_\S+, which .*not found in \S+cochdnn"):
        get("tuckute2023/cochcnn9-word", sources=[tmp_path / "cochdnn"])
    assert server.log == []
    get("feather2023/labels")
    get("tuckute2023/cochcnn9-word", sources=[tmp_path / "cochdnn"])
    assert_same(am.load_model("tuckute2023/cochcnn9-word"), originals["tuckute2023/cochcnn9-word"])
    assert [request.path for request in server.log] == ["word_and_speaker_encodings_jsinv3.pckl"]
    alone = shutil.copy(tmp_path / "cochdnn" / "model_checkpoints" / WORD_RUN, tmp_path)
    get("tuckute2023/audioset-labels")
    with pytest.raises(am.AudioMetamerError, match=r"is made from audio_rep\S+46ed16b7/5_checkpoint\.pt, which is missing"):
        get("tuckute2023/cochcnn9-speaker", sources=[alone])  # one of many files of this name
    with pytest.raises(am.AudioMetamerError, match=r"nowhere\.tar does not exist"):
        get("tuckute2023/cochcnn9-speaker", sources=[tmp_path / "nowhere.tar"])


def test_stimuli_become_a_folder_of_clips(server, home):
    said = []
    folder = get("feather2023/stimuli", notify=said.append)
    assert folder == home / "data" / "feather2023" / "stimuli"
    assert sorted(path.name for path in folder.iterdir()) == ["about.flac", "after.flac", "clips.csv"]
    assert said[-1] == "feather2023/stimuli: 2 words instead of 400"
    assert not list(home.rglob("*.pckl"))


def test_listeners_come_file_by_file(server, home):
    said = []
    folder = get("feather2023/listeners", notify=said.append)
    assert [group.network for group in read_published(folder / "listeners.tsv")] == ["cochcnn9", "cochresnet50"]
    assert said[0] == "feather2023/listeners: 8 listeners, at metamers of 2 networks in 2 experiments"
    clean(["feather2023/listeners"])
    assert sizes() == {}
    get("feather2023/listeners")


def test_listeners_come_from_a_copy_of_the_repository(server, home, tmp_path, archives):
    matrices = {path.rpartition("/")[2]: content for path, content in archives.items() if path.endswith(".mat")}
    (copy := tmp_path / "repository" / "listeners").mkdir(parents=True)
    for name in sorted(matrices)[1:]:
        (copy / name).write_bytes(matrices[name])
    with pytest.raises(am.AudioMetamerError, match=f"is made from {sorted(matrices)[0]}, which is missing"):
        get("feather2023/listeners", sources=[tmp_path / "repository"])
    (first := copy / sorted(matrices)[0]).write_bytes(b"another")
    with pytest.raises(am.AudioMetamerError, match="has the SHA-256"):
        get("feather2023/listeners", sources=[tmp_path / "repository"])
    first.write_bytes(matrices[first.name])
    folder = get("feather2023/listeners", sources=[tmp_path / "repository"])
    assert [group.network for group in read_published(folder / "listeners.tsv")] == ["cochcnn9", "cochresnet50"]
    assert first.exists()
    assert server.log == []


@pytest.mark.parametrize("compress", [lambda tar: tar[: len(tar) // 2], gzip.compress])
def test_from_an_archive_that_is_damaged(server, tmp_path, archives, compress):
    (mine := tmp_path / "mine.tar").write_bytes(compress(archives["cochdnn_model_checkpoints.tar"]))
    labels = tmp_path / "word_and_speaker_encodings_jsinv3.pckl"
    labels.write_bytes(archives[labels.name])
    with pytest.raises(am.AudioMetamerError, match=rf"^{mine} (ends before byte \d+|is compressed with gzip; unpack)"):
        get("tuckute2023/cochcnn9-word", sources=[mine, labels])


def test_code_in_a_checkpoint_is_not_run(server, home):
    bad = home.parent / "kell2018_wsn_word.pt"
    torch.save(published(network("cochcnn9"), extra=NotPlain()), bad)
    get("feather2023/labels")
    with pytest.raises(
        am.AudioMetamerError, match=r"asks for more than tensors and plain containers: checkpoint_files\.NotPlain"
    ):
        get(FIRST, sources=[bad])
    assert not (home / "models" / FIRST).exists()
    get(FIRST, sources=[bad], trust=True)
    assert am.load_model(FIRST).name == FIRST


def test_a_wrong_file_does_not_stand_in_the_way_of_the_right_one(server, tmp_path, archives, originals):
    wrong, right = tmp_path / "wrong" / "kell2018_wsn_word.pt", tmp_path / "mine.tar"
    wrong.parent.mkdir()
    wrong.write_bytes(b"not a checkpoint")
    right.write_bytes(archives[ARCHIVE])
    get("feather2023/labels")
    with pytest.raises(am.AudioMetamerError):
        get(FIRST, sources=[wrong.parent])
    get(FIRST, sources=[right, wrong.parent])  # the first that holds it
    assert_same(am.load_model(FIRST), originals[FIRST])


def test_cleaning_a_download_that_never_became_a_model(server, home, archives, originals):
    server.files[ARCHIVE] = Served(tar_of({"pytorch_checkpoints/kell2018_wsn_word.pt": b"not a checkpoint"}))
    with pytest.raises(am.AudioMetamerError):
        get(FIRST)
    assert clean([FIRST]) == len(b"not a checkpoint")
    server.files[ARCHIVE] = Served(archives[ARCHIVE])
    get(FIRST)
    assert_same(am.load_model(FIRST), originals[FIRST])


def test_from_a_folder_with_the_archive(server, tmp_path, archives, originals):
    (tmp_path / "papers").mkdir()
    for name in (ARCHIVE, "word_and_speaker_encodings_jsinv3.pckl"):
        (tmp_path / "papers" / name).write_bytes(archives[name])
    get(FIRST, sources=[tmp_path / "papers"])
    assert_same(am.load_model(FIRST), originals[FIRST])
    assert server.log == []


def test_cleaning(server, home):
    get_all([FIRST, "tuckute2023/cochcnn9-word"])
    found = sizes()
    assert found.keys() == {FIRST, "tuckute2023/cochcnn9-word", "feather2023/labels"}
    assert clean([FIRST]) == found[FIRST]
    with pytest.raises(am.AudioMetamerError, match="feather2023/cochcnn9 is not here yet"):
        am.load_model(FIRST)
    assert clean() == sum(found.values()) - found[FIRST]
    assert sizes() == {}
    assert len(list(home.rglob("*.sha256"))) == 3
    with pytest.raises(am.AudioMetamerError, match="no published network or data set is called 'cochcnn9'"):
        clean(["cochcnn9"])


def test_cleaning_that_is_interrupted_leaves_no_half_of_a_model(server, home, monkeypatch):
    get(FIRST)

    def interrupted(folder):
        next(folder.iterdir()).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", interrupted)
        with pytest.raises(KeyboardInterrupt):
            clean([FIRST])
    with pytest.raises(am.AudioMetamerError, match="feather2023/cochcnn9 is not here yet"):
        am.load_model(FIRST)
    assert sizes()["unfinished"] > 0
    clean()
    assert sizes() == {}
    assert [path for path in (home / "models").rglob("*") if path.is_file()] == []


def test_cleaning_during_a_fetch_is_refused(server, home):
    get(FIRST)
    with file_lock(home / ".lock"), pytest.raises(am.AudioMetamerError, match="something is being fetched into"):
        clean()
    assert am.load_model(FIRST).name == FIRST


def test_a_home_that_is_a_file(home):
    home.write_text("")
    with pytest.raises(am.AudioMetamerError, match=r"^could not write into .*home \(File exists\); AUDIOMETAMER_HOME names"):
        get(FIRST)
