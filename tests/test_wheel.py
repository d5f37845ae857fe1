"""A wheel, installed elsewhere, works with the zoo and the clips inside, and adds nothing but `audiometamer`."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_it_holds_one_package_with_the_zoo_and_the_clips(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"audiometamer"}
    digits = (f"models/cochcnn-digits/{file}" for file in ("model.toml", "weights.safetensors", "null.json"))
    for name in (*digits, "stimuli/words/clips.csv", "stimuli/words/zero_slt.flac", "stimuli/speech/clips.csv"):
        assert f"audiometamer/data/{name}" in names
    for ending in ("html", "css", "js"):
        assert f"audiometamer/report/report.{ending}" in names
    assert {"audiometamer/py.typed", "audiometamer/__init__.pyi"} <= {*names}
    shipped = {path.relative_to(ROOT).as_posix() for path in (ROOT / "stimuli").glob("*/*.flac")}
    assert {name.removeprefix("audiometamer/data/") for name in names if name.endswith(".flac")} == shipped
    in_models = {Path(name).name for name in names if name.startswith("audiometamer/data/models/")}
    needed = {"model.toml", "weights.safetensors", "null.json", "recipe.toml"}
    assert needed <= in_models <= needed | {"accuracy-word.tsv", "accuracy-speaker.tsv"}
    assert not any("__pycache__" in name for name in names)


@pytest.mark.slow
def test_it_works_installed_elsewhere(wheel, tmp_path):
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    assert {p.name for p in site.iterdir() if not p.name.endswith(".dist-info")} == {"audiometamer", "bin"}
    code = (
        "import audiometamer as am; from audiometamer.io.resources import clips_folder\n"
        "model = am.load_model('cochcnn-digits')\n"
        "clip = am.read_clip(clips_folder() / 'words' / 'computer_slt.flac')\n"
        "print(am.__file__, model.label('word', int(model(clip.samples[None]).argmax())))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path, word = done.stdout.split()
    assert Path(path).is_relative_to(site)
    assert word == "computer"
