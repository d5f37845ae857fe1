"""The names that others rely on, and what importing costs."""

import subprocess
import sys

import audiometamer as am


def test_public_names():
    assert sorted(am.__all__) == [
        "AudioMetamerError", "AudioMetamerWarning", "Clip", "Cochleagram", "GivenTarget", "Metamer", "Model", "NullDistribution",
        "Picture", "__version__", "image_model", "joined", "load_model", "match", "networks", "read_clip", "read_image", "record",
        "similarity", "synthesize", "write_png", "write_wav",
    ]  # fmt: skip
    assert all(hasattr(am, name) for name in am.__all__)
    assert am.networks.__all__ == ["CochCNN9", "CochResNet50", "SpecTemp"]


def test_heavy_libraries_are_imported_where_they_are_used():
    code = (
        "import sys, audiometamer; print([m for m in ('torchaudio', 'librosa', 'matplotlib', 'soundfile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
