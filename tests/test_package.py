"""The names that others rely on, and what importing costs."""

import pydoc
import re
import rlcompleter
import subprocess
import sys
from pathlib import Path

import pytest

import audiometamer as am

PACKAGE = Path(am.__file__).parent
ROOMS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
HEAVY = ("torch", "torchaudio", "librosa", "numba", "matplotlib", "soundfile")


def test_public_names():
    assert sorted(set(am.__all__) - ROOMS) == [
        "AudioMetamerError", "AudioMetamerWarning", "Clip", "Cochleagram", "GivenTarget", "ImageTransform", "Metamer",
        "Method", "Model", "NullDistribution", "Plateau", "StopSynthesis", "__version__", "domains", "find_speech",
        "image_model", "joined", "load_metamer", "load_model", "make_texture", "match", "morph", "plot_metamers",
        "plot_texture_discrimination", "read_clip", "read_image", "read_morph", "record", "similarity", "synthesize",
        "synthesize_into", "texture_discrimination", "write_png", "write_wav",
    ]  # fmt: skip
    assert all(hasattr(am, name) for name in am.__all__)
    assert am.networks.__all__ == [
        "CochCNN9", "CochResNet50", "HistogramMatching", "ModulationFilterbank", "ModulationMoments", "OctaveCochleagram",
        "SpecTemp", "TextureStatistics",
    ]  # fmt: skip


def test_all_rooms_are_there_without_being_imported_first():
    assert set(am.__all__) >= ROOMS
    shown = "import audiometamer as am; print(*(getattr(am, name).__name__ for name in am.__all__ if name in {0}))"
    found = subprocess.run([sys.executable, "-c", shown.format(ROOMS)], capture_output=True, text=True, check=True).stdout.split()
    assert {*found} == {f"audiometamer.{name}" for name in ROOMS}


def test_each_public_name_stands_once_in_the_stub():
    lines = [line for line in PACKAGE.joinpath("__init__.pyi").read_text().splitlines() if line and not line.startswith("#")]
    names = [re.fullmatch(r"from \S+ import (\w+) as \1", line)[1] for line in lines]
    assert sorted(names) == sorted(am.__all__)


@pytest.mark.parametrize("stub", sorted(PACKAGE.glob("*/__init__.pyi")), ids=lambda stub: stub.parent.name)
def test_the_main_names_of_a_room_are_there(stub):
    room = getattr(am, stub.parent.name)
    names = re.findall(r"^from \S+ import (\w+) as \1$", stub.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(room.__all__) == sorted(dir(room))
    assert all(getattr(room, name).__module__.startswith(room.__name__) for name in names)


def test_names_are_listed_to_people_and_their_editors():
    assert set(am.__all__) <= set(dir(am))
    completer = rlcompleter.Completer({"am": am})
    completed = [completer.complete("am.read_cl", k) for k in range(2)]
    assert completed == ["am.read_clip(", None]
    help_text = pydoc.plain(pydoc.render_doc(am))
    assert all(name in help_text for name in ("synthesize(", "class Model", "class Clip", "read_clip(", "load_model("))


def test_importing_loads_no_large_library():
    assert loaded_by("import audiometamer", *HEAVY, "numpy") == []


def test_large_libraries_are_imported_where_they_are_used():
    code = "import audiometamer as am; [getattr(am, name) for name in am.__all__ if name not in {0}]"
    assert loaded_by(code.format(ROOMS), *HEAVY) == ["torch"]


def test_what_is_loaded_is_seen():
    assert loaded_by("import audiometamer, librosa, matplotlib", "librosa", "matplotlib") == ["librosa", "matplotlib"]


def test_what_only_reads_files_does_not_wait_for_torch():
    assert loaded_by("import audiometamer, audiometamer.cli.status", "torch", "scipy", "matplotlib") == []


def test_neither_do_lists():
    code = "import sys; sys.stdout = sys.stderr; from audiometamer.cli import main; main({0}); sys.stdout = sys.__stdout__"
    assert loaded_by(code.format(["published", "list"]), "torch", "scipy", "matplotlib") == []


def test_neither_does_the_server_of_an_experiment():
    assert loaded_by("import audiometamer.cli.experiment, audiometamer.listening.server", "torch", "matplotlib") == []


def loaded_by(code, *names):
    """Which of some libraries are there after a piece of code."""
    shown = f"{code}; import sys; print(*[name for name in {names} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="No audiometamer attribute metamer"):
        _ = am.metamer
