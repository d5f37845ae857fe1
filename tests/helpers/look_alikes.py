"""Look-alikes of published archives: small networks with random weights, and labels, in exactly the published layout."""

import hashlib
import io
import pickle
import tarfile
import tempfile
from contextlib import contextmanager
from functools import cache

import torch
from checkpoint_files import WORDS, network, published
from local_server import serving
from tiny_published import stimuli, write_matrix

from audiometamer.models import published as registry_module

SPEAKERS = ["anna", "bert"]
STIMULI = "word_WSJ_validation_jsin_400words_1samplesperword_with_metadata.pckl"
HEADS = {"signal/word_int": 3, "signal/speaker_int": 2, "noise/labels_binary_via_int": 1}
SPEAKER_RUN = "audio_rep_training_cochleagram_1/kell2018_speaker_decay_lr/46ed16b7/5_checkpoint.pt"
WORD_RUN = "audio_rep_training_cochleagram_1/kell2018_decay_lr/2b411fd2/5_checkpoint.pt"

REGISTRY = """
[papers.feather2023]
reference = "Feather et al. (2023)"
repository = "https://github.com/jenellefeather/model_metamers_pytorch"
commit = "f89cdad"
licence = "MIT"
networks = "feather2023-networks"

[papers.feather2023.layers]
cochcnn9 = ["cochleagram", "relu0", "relu1"]
cochresnet50 = ["cochleagram", "conv1_relu1", "layer1", "layer4", "avgpool"]

[papers.tuckute2023]
reference = "Tuckute et al. (2023)"
repository = "https://github.com/jenellefeather/cochdnn"
commit = "8702294"
licence = "MIT"
networks = "tuckute2023-networks"

[papers.tuckute2023.layers]
cochcnn9 = ["cochleagram", "conv0", "relu0"]

[archives.feather2023-networks]
address = "ROOT/pytorch_metamers_audio_model_checkpoints.tar"
gigabytes = 9.4

[archives.feather2023-assets]
address = "ROOT/pytorch_metamers_assets_folder.tar"
gigabytes = 0.366

[archives.tuckute2023-networks]
address = "ROOT/cochdnn_model_checkpoints.tar"
gigabytes = 14

[read_outs.word]
labels = ["feather2023/labels"]
classes = { word = 3 }

[read_outs.three]
labels = ["feather2023/labels", "tuckute2023/audioset-labels"]
classes = { "signal/word_int" = 3, "signal/speaker_int" = 2, "noise/labels_binary_via_int" = 1 }

[networks."feather2023/cochcnn9"]
what = "CochCNN9, words"
member = "kell2018_wsn_word.pt"
network = "cochcnn9"
read_outs = "word"
correct_percent = 91.23

[networks."feather2023/cochresnet50-l2-1-robust-cochleagram"]
what = "CochResNet50, words; adversarial training on the cochleagram"
member = "cochresnet_wsn_word_l2_1_robust_cochleagram.pt"
network = "cochresnet50"
read_outs = "word"

[networks."tuckute2023/cochcnn9-word"]
what = "CochCNN9, words"
member = "WORD_RUN"
network = "cochcnn9"
read_outs = "word"
permuted_seed = 0

[networks."tuckute2023/cochcnn9-speaker"]
what = "CochCNN9, speakers"
member = "SPEAKER_RUN"
network = "cochcnn9"
read_outs = "three"
trained = ["signal/speaker_int"]

[data."feather2023/labels"]
what = "Names of words and speakers"
file = "word_and_speaker_encodings_jsinv3.pckl"
address = "ROOT/word_and_speaker_encodings_jsinv3.pckl"
sha256 = "LABELS"

[data."feather2023/stimuli"]
what = "Clips of words"
file = "STIMULI"
archive = "feather2023-assets"

[data."feather2023/listeners"]
what = "Listeners"
address = "ROOT/AuditoryBehavioralExperiments"

[data."feather2023/listeners".files]
MATRICES

[data."tuckute2023/audioset-labels"]
what = "Names of sounds"
file = "audioset_idx_to_label.pckl"
address = "ROOT/audioset_idx_to_label.pckl"
"""


def networks():
    """The networks by name; those of cochcnn9 differ."""
    made = {
        "feather2023/cochcnn9": network("cochcnn9"),
        "feather2023/cochresnet50-l2-1-robust-cochleagram": network("cochresnet50"),
        "tuckute2023/cochcnn9-word": network("cochcnn9"),
        "tuckute2023/cochcnn9-speaker": network("cochcnn9", HEADS),
    }
    with torch.no_grad():
        made["tuckute2023/cochcnn9-word"].conv0.weight *= 2
    return made


def checkpoint(made, **form):
    """A checkpoint with the state of an optimiser, a schedule, and the number of an epoch."""
    tensors = {f"module.{key}": value for key, value in made.state_dict().items()}
    state = {"state": {0: {"momentum_buffer": next(iter(tensors.values()))}}, "param_groups": [{"lr": 0.01, "params": [0]}]}
    file = io.BytesIO()
    torch.save(published(made, extra=state, **form) | {"schedule": {"step_size": 50, "last_epoch": 150}}, file)
    return file.getvalue()


def tar_of(members):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    return file.getvalue()


def labels():
    words, speakers = dict(enumerate(WORDS)), dict(enumerate(SPEAKERS))
    names = {"word_idx_to_word": words, "word_to_idx": {}, "speaker_idx_to_speaker": speakers}
    return pickle.dumps(names, protocol=2)


@cache
def matrices():
    """The listeners' matrices, by path in the repository's folder of experiments."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [write_matrix(folder, network=name, experiment=k) for name, k in (("kell2018", 1), ("cochresnet50", 3))]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def files(made):
    """What the look-alike server holds, by path: cochleagram-trained networks have the other form of keys."""
    first, robust, word, speaker = made.values()
    return {
        "pytorch_metamers_audio_model_checkpoints.tar": tar_of(
            {
                "pytorch_checkpoints/README": b"Directory contains checkpoints used for audio models.",
                "pytorch_checkpoints/cochresnet_wsn_word_l2_1_robust_cochleagram.pt": checkpoint(robust, numbered=False),
                "pytorch_checkpoints/spectemp_model.pt": bytes(2_000_000),
                "pytorch_checkpoints/kell2018_wsn_word.pt": checkpoint(first),
            }
        ),
        "cochdnn_model_checkpoints.tar": tar_of(
            {f"model_checkpoints/{SPEAKER_RUN}": checkpoint(speaker), f"model_checkpoints/{WORD_RUN}": checkpoint(word)}
        ),
        "pytorch_metamers_assets_folder.tar": tar_of(
            {f"assets/{STIMULI}": pickle.dumps(stimuli(), protocol=4), "assets/README": b"Assets"}
        ),
        **{f"AuditoryBehavioralExperiments/{path}": content for path, content in matrices().items()},
        "word_and_speaker_encodings_jsinv3.pckl": labels(),
        "audioset_idx_to_label.pckl": pickle.dumps({0: {"human_readable": "wind", "audioset_label": "/m/03m9d0z"}}, protocol=2),
    }


def registry(root):
    """The look-alike registry's text, for a server at this address."""
    filled = {"ROOT": root, "LABELS": hashlib.sha256(labels()).hexdigest(), "WORD_RUN": WORD_RUN, "SPEAKER_RUN": SPEAKER_RUN}
    filled["STIMULI"] = STIMULI
    filled["MATRICES"] = "\n".join(f'"{path}" = "{hashlib.sha256(each).hexdigest()}"' for path, each in matrices().items())
    text = REGISTRY
    for name, value in filled.items():
        text = text.replace(name, value)
    return text


@contextmanager
def served(archives, folder, monkeypatch):
    """A server of the archives, and the registry that names them, for the duration of the block."""
    with serving(archives) as server:
        (folder / "published.toml").write_text(registry(server.root), encoding="utf-8")
        monkeypatch.setattr(registry_module, "_FILE", folder / "published.toml")
        registry_module.published.cache_clear()
        yield server
    registry_module.published.cache_clear()
