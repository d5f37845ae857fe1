"""The names that others rely on, and what importing costs."""

import subprocess
import sys

import pytest

import audiometamer as am


def test_public_names():
    assert sorted(am.__all__) == [
        "AudioMetamerError", "AudioMetamerWarning", "Clip", "Cochleagram", "GivenTarget", "ImageTransform", "Metamer",
        "Model", "NullDistribution", "StopSynthesis", "__version__", "image_model", "joined", "load_model", "match", "networks",
        "read_clip", "read_image", "record", "similarity", "synthesize", "write_png", "write_wav",
    ]  # fmt: skip
    assert all(hasattr(am, name) for name in am.__all__)
    assert am.networks.__all__ == ["CochCNN9", "CochResNet50", "SpecTemp"]


def test_heavy_libraries_are_imported_where_they_are_used():
    code = "import audiometamer as am; [getattr(am, name) for name in am.__all__]"
    assert loaded_by(code, "torch", "torchaudio", "librosa", "matplotlib", "soundfile") == ["torch"]


def test_what_only_reads_files_does_not_wait_for_torch():
    assert loaded_by("import audiometamer, audiometamer.cli.status", "torch", "scipy", "matplotlib") == []


def test_neither_does_the_server_of_an_experiment():
    assert loaded_by("import audiometamer.cli.experiment, audiometamer.listening.server", "torch", "matplotlib") == []


def loaded_by(code, *names):
    """Which of some libraries are there after a piece of code."""
    shown = f"{code}; import sys; print(*[name for name in {names} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'audiometamer' has no attribute 'metamer'"):
        _ = am.metamer
