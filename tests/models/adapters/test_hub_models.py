"""Networks from a hub on this machine, in huggingface_hub's own cache: fetched once, without code, and loaded offline."""

import sys

import foreign_models
import huggingface_hub
import pytest
import tiny_hub
import torch
import transformers
from huggingface_hub import constants

import audiometamer as am
from audiometamer.cli import fetching
from audiometamer.models.adapters.hub_models import bytes_to_fetch

CONFIG = {"id2label": {0: "yes", 1: "no"}, "label2id": {"yes": 0, "no": 1}}
NOISE = 0.1 * torch.randn(1, 32_000, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """``owner/words`` (safetensors, a pickle and code), ``owner/pickled`` (a pickle alone), ``owner/empty`` (no weights)."""
    folder = tmp_path_factory.mktemp("repositories")
    torch.manual_seed(0)
    network = transformers.ASTForAudioClassification(foreign_models.ast_config(**CONFIG)).eval()
    for name in ("words", "pickled", "empty"):
        repository = folder / "owner" / name
        network.save_pretrained(repository)
        transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128).save_pretrained(repository)
        (repository / "modeling.py").write_text("raise SystemExit('code of the repository ran')")
        if name != "words":
            (repository / "model.safetensors").unlink()
        if name != "empty":
            torch.save(network.state_dict(), repository / "pytorch_model.bin")
    return folder


@pytest.fixture
def hub(repositories, tmp_path, monkeypatch):
    """The files that the hub is asked for; the cache is empty."""
    with tiny_hub.hub_of(repositories) as (address, asked):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield asked


@pytest.fixture
def offline(monkeypatch):
    return lambda: monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def fails(name, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        am.load_model(name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 360


def test_a_network_is_fetched_once_without_pickles_and_code_and_then_loaded_offline(repositories, hub, offline, tmp_path):
    model = am.load_model("hub:owner/words@v1")
    assert set(hub) == {"config.json", "preprocessor_config.json", "model.safetensors"}
    assert (model.name, model.layers[-1], model.label("class", 0)) == ("words", "classifier", "yes")
    original = am.load_model(f"transformers:{repositories / 'owner/words'}")
    torch.testing.assert_close(model(NOISE), original(NOISE))
    snapshot = tmp_path / "hub/models--owner--words/snapshots" / tiny_hub.COMMIT
    assert {file.name for file in snapshot.iterdir()} == set(hub)

    hub.clear()
    offline()
    for name in ("hub:owner/words@v1", f"hub:owner/words@{tiny_hub.COMMIT}"):
        torch.testing.assert_close(am.load_model(name)(NOISE), original(NOISE))
    assert hub == []
    fails("hub:owner/words", "hub:owner/words is not complete in the cache of huggingface_hub, and cannot be fetched: .*offline")


def test_a_pickle_of_tensors_is_fetched_only_if_there_is_nothing_else(repositories, hub, offline):
    model = am.load_model("hub:owner/pickled")
    assert "pytorch_model.bin" in hub
    assert "modeling.py" not in hub
    twin = am.load_model(f"transformers:{repositories / 'owner/words'}")
    torch.testing.assert_close(model(NOISE), twin(NOISE))
    offline()
    assert am.load_model("hub:owner/pickled").name == "pickled"


def test_what_cannot_be_fetched_is_told_in_a_line(hub, offline):
    fails("hub:owner/nothing", "the Hugging Face Hub has no repository 'owner/nothing', or it is private: then `hf auth login`")
    fails("hub:owner/words@v9", "hub:owner/words has no revision 'v9'; give a branch, a tag or a commit")
    fails("hub:owner/empty", "hub:owner/empty holds no weights for torch: neither model.safetensors nor pytorch_model.bin")
    fails(f"hub:{tiny_hub.GATED}", "hub:owner/gated asks for its terms to be accepted on its page")
    fails("hub:", "hub: names no repository; the form is hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    fails("hub:owner/-name", "hub:owner/-name cannot be fetched: Repo id must")


def test_the_size_is_known_before(repositories, hub, monkeypatch):
    """That of the tensors and settings, or of the pickle where there are none; nothing is fetched for it."""
    sizes = {file.name: file.stat().st_size for file in (repositories / "owner/words").iterdir()}
    settings = sizes["config.json"] + sizes["preprocessor_config.json"]
    assert bytes_to_fetch("owner/words") == settings + sizes["model.safetensors"]
    pickle = (repositories / "owner/pickled/pytorch_model.bin").stat().st_size
    assert bytes_to_fetch("owner/pickled@v1") == settings + pickle
    assert bytes_to_fetch("owner/nothing") == 0
    am.load_model("hub:owner/words")
    assert bytes_to_fetch("owner/words") == 0


def test_a_terminal_is_asked_for_large_networks(hub, monkeypatch):
    asked = []
    monkeypatch.setattr(fetching, "interactive", lambda: True)
    monkeypatch.setattr(fetching, "LARGE", 1e-6)
    monkeypatch.setattr(fetching.click, "confirm", lambda text, **options: bool(asked.append(text)) or len(asked) > 1)
    with pytest.raises(am.AudioMetamerError, match="nothing was fetched"):
        fetching.offer("hub:owner/words")
    fetching.offer("hub:owner/words")
    assert asked == 2 * ["fetch hub:owner/words, 0.00 GB?"]
    am.load_model("hub:owner/words")
    fetching.offer("hub:owner/words")
    assert len(asked) == 2


def test_no_network(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # where nothing listens
    fails("hub:owner/words", r"hub:owner/words is not complete in the cache .* cannot be fetched: .*refused")


def test_huggingface_hub_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    fails("hub:owner/words", r'this model needs huggingface_hub \(.*\): pip install "audiometamer\[speech\]"')
    assert huggingface_hub.__version__
