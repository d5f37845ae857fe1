"""``audiometamer distortions``: tables and sounds, and what is refused."""

import csv

import pytest
from command_line import refused
from tiny_models import make_clip

import audiometamer as am
from audiometamer.cli import main

MODEL = ("--model", "tiny_models:sound_model")
OTHER = ("--model", "tiny_models:sound_model", "final")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate(("one.wav", "two.wav")):
        clip = make_clip("speech", k)
        am.write_wav(name, clip.samples, clip.sample_rate)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_eigendistortions(tmp_path, capsys):
    command = ["distortions", "eigen", "one.wav", *MODEL, "--layers", "relu0,final", "--space", "cochlea", "--bands", "6"]
    assert main([*command, "--steps", "2"]) == 0
    printed = capsys.readouterr().out
    assert "null space" in printed
    assert "most noticeable at cochleagram" in printed
    rows = rows_of(tmp_path / "distortions" / "eigendistortions.tsv")
    assert [(row["layer"], row["end"]) for row in rows[::2]] == [("relu0", "most"), ("relu0", "most")] + [("final", "most")] * 2
    assert all((tmp_path / "distortions" / row["file"]).exists() for row in rows)
    assert {row["exact"] for row in rows} == {"yes", ""}
    assert "eigendistortions.tsv exists; choose another --out" in refused(capsys, *command)


def test_principal_distortions(tmp_path, capsys):
    relu, final = ("--model", "tiny_models:sound_model", "relu0"), ("--model", "tiny_models:sound_model", "final")
    assert main(["distortions", "principal", "one.wav", *relu, *final, "--space", "level", "--ridge", "0.01"]) == 0
    printed = capsys.readouterr().out
    assert "generalised eigenvectors" in printed
    assert "regularised, since some changes are not noticed at all: tiny:relu0, tiny:final" in printed
    rows = rows_of(tmp_path / "distortions" / "principal.tsv")
    assert [row["model"] for row in rows] == ["tiny:relu0", "tiny:final"]
    assert (tmp_path / "distortions" / "second.wav").exists()
    message = refused(capsys, "distortions", "principal", "one.wav", *relu, *final, "--ridge", "0", "--out", "other")
    assert "does not notice some change at all, so the disagreement has no maximum; give ridge > 0" in message


def test_scales_of_several_models(tmp_path, capsys):
    other = ("--model", "permuted:tiny_models:sound_model:1")
    assert main(["distortions", "scale", "one.wav", "two.wav", *MODEL, *other, "--layers", "final", "--points", "1"]) == 0
    rows = rows_of(tmp_path / "distortions" / "scale.tsv")
    names = list(dict.fromkeys(row["model"] for row in rows))
    assert (names[0], len(names), {row["layer"] for row in rows}) == ("tiny", 2, {"final"})
    (tmp_path / "measured.tsv").write_text("position\tscale\n0\t0\n.5\t.7\n1\t1\n")
    assert main(["distortions", "scale", "one.wav", *MODEL, *other, "--path", "depth", "--values", "0,0.5,1", "--layers", "final",
                 "--points", "1", "--out", "depth"]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["distortions", "score", "measured.tsv", "depth/scale.tsv"]) == 0
    assert all(f"{name} final" in capsys.readouterr().out for name in names[:1])


def test_a_scale_and_its_score(tmp_path, capsys):
    made = ["distortions", "scale", "one.wav", "two.wav", *MODEL, "--layers", "relu1"]
    assert main([*made, "--path", "crossfade", "--values", "0,0.2,0.5,1", "--points", "2"]) == 0
    rows = rows_of(tmp_path / "distortions" / "scale.tsv")
    assert [row["position"] for row in rows] == ["0", "0.2", "0.5", "1"]
    lines = ["position\tscale\tresample0\tresample1"]
    lines += [f"{row['position']}\t{row['scale']}\t{row['scale']}\t{row['scale']}" for row in rows]
    (tmp_path / "measured.tsv").write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    assert main(["distortions", "score", "measured.tsv", "distortions/scale.tsv"]) == 0
    assert "1.000 … 1.000" in capsys.readouterr().out
    (tmp_path / "short.tsv").write_text("position\tscale\n0\t0\n1\t1\n")
    message = refused(capsys, "distortions", "score", "short.tsv", "distortions/scale.tsv")
    assert "the positions of relu1 in distortions/scale.tsv are not those in short.tsv" in message
    (tmp_path / "words.tsv").write_text("position\tscale\n0\tlow\n1\t1\n")
    assert "words.tsv has 'low' in the column scale" in refused(
        capsys, "distortions", "score", "words.tsv", "distortions/scale.tsv"
    )


def test_a_path_of_one_sound(tmp_path):
    command = ["distortions", "scale", "one.wav", *MODEL, "--layers", "final", "--path", "slope", "--points", "1"]
    assert main([*command, "--values", "-6,0,6"]) == 0
    assert [row["value"] for row in rows_of(tmp_path / "distortions" / "scale.tsv")] == ["-6", "0", "6"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["eigen", "absent.wav", *MODEL], "absent.wav"),
        (["eigen", "one.wav", *MODEL, "--layers", "relu9"], "has no layer 'relu9'"),
        (["eigen", "one.wav", *MODEL, "--layers", "final", "--number", "4"], "the layer responds to 3 independent changes"),
        (["eigen", "one.wav", *MODEL, "--space", "band"], "the space band and a band LOW HIGH go together"),
        (["eigen", "one.wav", *MODEL, "--band", "1", "2"], "the space band and a band LOW HIGH go together"),
        (["eigen", "one.wav", *MODEL, "--space", "band", "--band", "9", "1"], "holds no frequency"),
        (["eigen", "one.wav", *MODEL, "--level", "nan"], "not a finite number"),
        (["principal", "one.wav", *OTHER], "there are 1 models and 1 layers; give two or more"),
        (["principal", "one.wav", *OTHER, "--model", "cochcnn-digits", "final"], "4000 Hz and cochcnn-digits 20000 Hz"),
        (["scale", "one.wav", *MODEL, "--layers", "final"], "a path has two or more sounds; this has 1"),
        (["scale", "one.wav", *MODEL, "--path", "crossfade"], "is made from 2 sounds; 1 are given"),
        (["scale", "one.wav", *MODEL, "--path", "depth", "--values", "a"], "--values is 'a'; give numbers"),
        (["scale", "one.wav", *MODEL, "--path", "depth", "--values", "0,3"], "give depths from 0 to 1"),
        (["scale", "one.wav", *MODEL, "--path", "depth", "--values", "1,0"], "give 2 rising numbers"),
        (["scale", "one.wav", *MODEL, "--path", "bands", "--values", "2.5,4"], "bands is 2.5"),
        (["score", "absent.tsv", "absent.tsv"], "absent.tsv"),
    ],
)
def test_what_is_wrong_is_reported_in_a_line(capsys, arguments, message):
    assert message in refused(capsys, "distortions", *arguments)
