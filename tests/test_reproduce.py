"""The page that replicates a figure of Feather et al. (2023): its commands run as they stand, on look-alikes of the archives."""

import hashlib
import io
import pickle
import re
import shlex
from pathlib import Path

import pytest
import torch
from checkpoint_files import network, published
from command_line import commands_in, parse
from local_server import serving
from look_alikes import tar_of
from matplotlib.image import imread
from tiny_published import HUMAN, stimuli, write_matrix

from audiometamer.cli import main
from audiometamer.experiment.design import read_design
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_table
from audiometamer.models import published as registry

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "feather2023"
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
FIVE, CHECK = (commands_in(block) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL))
WORDS = ["about", "after", "again", "below", "every"]
LABELS = ["__nullSignal__", *WORDS, *(f"word{k}" for k in range(788))]
LAYERS = ["conv1_relu1", "final"]
SMALLER = {  # five words at two layers, in two steps of one attempt through the fast front end; three listeners
    "# count = 80": "count = 5",
    "# method =": "method =",
    "[clips]": "steps = 2\nexact = false\n[clips]",
    '"cochleagram", "conv1_relu1", "layer1", "layer2", "layer3", "layer4", "avgpool", "final"': '"conv1_relu1", "final"',
    "listeners = 20": "listeners = 3",
    "[answers]": """[conditions]
failed = true
[practice]
trials = 1
[demonstration]
trials = 0
[catch]
trials = 1
[answers]""",
}
QUICKER = {
    "get": " --yes",
    "check": " --steps 2 --device cpu",
    "rehearse": " --listeners 3",
    "analyse": " --permutations 0 --catch 0",
}


def test_the_page_is_right_about_its_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(FIVE) == 5
    for line in (*FIVE, *CHECK):
        parse(line)
    assert set(SMALLER) == {old for old in SMALLER if any(old in path.read_text() for path in EXAMPLE.glob("*.toml"))}
    assert read_design(EXAMPLE / "design.toml").answers.model == "feather2023/cochresnet50"


def checkpoint(kind):
    file = io.BytesIO()
    torch.save(published(network(kind, len(LABELS))), file)
    return file.getvalue()


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """A server with look-alikes of all that the commands fetch, and the registry with its addresses."""
    numbered = {"word_idx_to_word": dict(enumerate(LABELS)), "word_to_idx": {}, "speaker_idx_to_speaker": {0: "anna"}}
    labels = pickle.dumps(numbered, protocol=2)
    networks = {"cochresnet_wsn_word.pt": checkpoint("cochresnet50"), "kell2018_wsn_word.pt": checkpoint("cochcnn9")}
    clips = {"word_WSJ_validation_jsin_400words_1samplesperword_with_metadata.pckl": pickle.dumps(stimuli(WORDS), protocol=4)}
    files = {
        "pytorch_metamers_audio_model_checkpoints.tar": tar_of({f"pytorch_checkpoints/{k}": v for k, v in networks.items()}),
        "pytorch_metamers_assets_folder.tar": tar_of({f"assets/{k}": v for k, v in clips.items()}),
        "word_and_speaker_encodings_jsinv3.pckl": labels,
    }
    matrix = write_matrix(
        tmp_path / "answers", network="cochresnet50", layers=("natural_audio", "conv1_relu1_fake_relu", "final")
    )
    path = f"EXPERIMENT_1/{matrix.name}"
    files[f"AuditoryBehavioralExperiments/{path}"] = matrix.read_bytes()
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    with serving(files) as server:
        text = re.sub(r'"https://\S+/(\S+\.(?:tar|pckl))"', rf'"{server.root}/\1"', registry._FILE.read_text(encoding="utf-8"))
        text = re.sub(r'"https://\S+/(AuditoryBehavioralExperiments)"', rf'"{server.root}/\1"', text)
        text = re.sub(r'"EXPERIMENT_\d/.*\n', "", text).replace(
            '"feather2023/listeners".files]\n', f'"feather2023/listeners".files]\n"{path}" = "{file_sha256(matrix)}"\n'
        )
        first = re.search(r'sha256 = "(\w+)"', text)
        (tmp_path / "published.toml").write_text(text.replace(first[1], hashlib.sha256(labels).hexdigest()), encoding="utf-8")
        monkeypatch.setattr(registry, "_FILE", tmp_path / "published.toml")
        registry.published.cache_clear()
        yield server
    registry.published.cache_clear()


def smaller(text):
    for old, new in SMALLER.items():
        text = text.replace(old, new)
    return text


def run(line):
    options = "".join(more for word, more in QUICKER.items() if f" {word} " in line)
    return main(shlex.split(line + options)[1:])


@pytest.mark.slow
def test_the_five_commands_on_look_alikes(archives, tmp_path, monkeypatch, capsys):
    """Two networks with random weights, five tones for words, and listeners with known proportions."""
    monkeypatch.chdir(tmp_path)
    for path in EXAMPLE.glob("*.toml"):
        (tmp_path / path.name).write_text(smaller(path.read_text(encoding="utf-8")), encoding="utf-8")
    get, *others = FIVE
    assert run(get) == 0
    assert run(CHECK[0]) == 1  # random weights: one label for all
    assert "at chance level" in capsys.readouterr().err
    for line in others:
        assert run(line) == 0, line
    rows = read_table(tmp_path / "analysis" / "recognition.tsv")
    people = {row["layer"]: float(row["value"]) for row in rows if row["source"]}
    assert people == pytest.approx({"natural": HUMAN[0] + 0.015, "conv1_relu1": HUMAN[1] + 0.015, "final": HUMAN[2] + 0.015})
    assert {row["layer"] for row in rows if not row["source"]} == {"natural", *LAYERS}
    assert imread(tmp_path / "analysis" / "recognition.png").std() > 0.01
    assert read_table(tmp_path / "sounds" / "index.tsv")
