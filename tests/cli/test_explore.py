"""``audiometamer explore``: dimensions, catalogue and ladder from the command line, and what is refused."""

import pytest
from command_line import refused
from tiny_models import make_clip

import audiometamer as am
from audiometamer.cli import main
from audiometamer.dimensions import catalogue, dimensions_folder, finding
from audiometamer.io.tables import read_table

MODEL = ("--model", "tiny_models:sound_model")


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k in range(12):
        clip = make_clip(f"sound{k}", k)
        am.write_wav(tmp_path / "bank" / f"sound{k}.wav", clip.samples, clip.sample_rate)
    (tmp_path / "bank.csv").write_text("path\n" + "".join(f"bank/sound{k}.wav\n" for k in range(10)))
    assert main(["explore", "dimensions", "bank.csv", *MODEL, "--layers", "relu0,relu1", "--method", "pca", "--kept", "3"]) == 0
    return tmp_path


def test_dimensions_go_on_where_they_were_interrupted(found, capsys, monkeypatch):
    asked = ("explore", "dimensions", "bank.csv", *MODEL, "--layers", "relu0,relu1", "--method", "pca", "--kept", "3")
    whole = {path.name: path.read_bytes() for path in (found / "dimensions").glob("relu1/*")}
    with monkeypatch.context() as patch:
        real = finding._dimensions
        patch.setattr(finding, "_dimensions", lambda origin, *more: 1 / 0 if origin.layer == "relu1" else real(origin, *more))
        with pytest.raises(ZeroDivisionError):
            main([*asked, "--out", "again"])
    assert [path.name for path in (found / "again").iterdir()] == ["relu0"]
    written = (found / "again" / "relu0" / "dimensions.json").stat().st_mtime_ns
    asked_for, find = [], dimensions_folder.find_dimensions
    monkeypatch.setattr(dimensions_folder, "find_dimensions", lambda *a, **options: asked_for.append(a[2]) or find(*a, **options))
    capsys.readouterr()
    for _ in range(2):  # the second time all are there
        assert main([*asked, "--out", "again"]) == 0
        out = capsys.readouterr().out
        assert "relu0      12 × 12" in out
        assert "relu1        8 × 8" in out
    assert asked_for == [["relu1"]]
    assert "already found: relu0, relu1" in out
    assert (found / "again" / "relu0" / "dimensions.json").stat().st_mtime_ns == written
    assert {path.name: path.read_bytes() for path in (found / "again").glob("relu1/*")} == whole


@pytest.mark.parametrize(
    ("other", "reported"),
    [
        (("--model", "permuted:tiny_models:sound_model:1"), "other weights"),
        (("--average-frequency",), "frequencies averaged, or kept, otherwise"),
        (("--method", "ica"), "another method"),
        (("--seed", "1"), "another seed"),
        (("--signals-at-most", "9"), "another bank"),
        (("--components", "8"), "another number of components"),
        (("--kept", "2"), "another number of them kept"),
    ],
)
def test_dimensions_of_other_settings_are_refused_before_any_are_found(found, capsys, monkeypatch, other, reported):
    monkeypatch.setattr(dimensions_folder, "find_dimensions", None)
    asked = ("explore", "dimensions", "bank.csv", *MODEL, "--layers", "final,relu1", "--method", "pca", "--kept", "3")
    assert f"dimensions of relu1 are there, found with {reported}; choose another --out" in refused(capsys, *asked, *other)


def test_from_a_bank_to_a_ladder(found, capsys):
    assert {path.name for path in (found / "dimensions").iterdir()} == {"relu0", "relu1"}
    (found / "plan.toml").write_text(
        'model = "tiny_models:sound_model"\nsignals = ["bank/sound10.wav"]\nchoose = ["relu0/0", "relu1/2/-"]\n'
        "changes = [0.2, 0.4]\nsteps = 10\n"
    )
    assert main(["explore", "ladder", "plan.toml"]) == 0
    out = capsys.readouterr().out
    assert "relu1/2/-" in out
    assert "6 moved signals in ladder: 3 dimensions, 1 reference; 0 could not be made" in out
    rows = read_table(found / "ladder" / "calibration.tsv")
    assert [(row["dimension"], row["wished"]) for row in rows] == [
        (dimension, requested) for dimension in ("relu0/0/+", "relu0/0/-", "relu1/2/-") for requested in ("0.2", "0.4")
    ]
    assert all((found / "ladder" / row["file"]).exists() for row in read_table(found / "ladder" / "moves.tsv"))
    shown = [
        "explore",
        "catalogue",
        "bank",
        *MODEL,
        "--signals-at-most",
        "2",
        "--strongest",
        "1",
        "--changes",
        "0.3",
        "--steps",
        "5",
    ]
    assert main(shown) == 0
    assert sorted(path.name for path in (found / "catalogue").glob("*.png")) == ["relu0_0.png", "relu1_0.png"]
    assert "moves.tsv exists; choose another --out, or --overwrite it" in refused(capsys, *shown)


def test_a_catalogue_of_coordinates(found, capsys):
    placed = ["explore", "catalogue", "bank/sound10.wav", "bank/sound11.wav", *MODEL, "--choose", "relu0/0", "--steps", "5"]
    assert main([*placed, "--coordinates", "-1,0.5"]) == 0
    assert "4 of 4 moved signals" in capsys.readouterr().err
    rows = read_table(found / "catalogue" / "moves.tsv")
    assert [(row["file"], row["coordinate"]) for row in rows] == [
        (f"sound{k}/relu0_0@{place}.wav", place) for k in (10, 11) for place in ("-1", "0.5")
    ]
    for row in rows:  # the table has six digits
        requested = float(f"{row['sign']}{row['wished']}")
        assert float(row["before"]) + requested == pytest.approx(float(row["coordinate"]), abs=1e-4)
    near = [*placed, "--coordinates", "1,1.0000001", "--out", "near"]
    assert main(near) == 0
    assert len(read_table(found / "near" / "moves.tsv")) == 2, "a row for each file"
    both = refused(capsys, *placed, "--coordinates", "0", "--changes", "1", "--out", "other")
    assert "--changes is '1' and --coordinates is '0'; give one of them" in both
    placed[placed.index("relu0/0")] = "relu0/0/+"
    sided = refused(capsys, *placed, "--coordinates", "0", "--out", "other")
    assert "--choose is 'relu0/0/+'; with --coordinates, which are on both sides, it is 'relu0/0'" in sided


def test_a_catalogue_takes_the_place_of_the_one_before(found, capsys):
    old = ["explore", "catalogue", "bank/sound10.wav", *MODEL, "--steps", "3", "--choose"]
    assert main([*old, "relu0/0,relu1/1/-", "--changes", "0.3,0.6"]) == 0
    new = ["explore", "catalogue", "bank/sound11.wav", *MODEL, "--steps", "3", "--choose", "relu0/1/+", "--changes", "0.4"]
    (found / "catalogue" / "notes.txt").write_text("mine")
    assert "catalogue holds notes.txt, which is not of a catalogue" in refused(capsys, *new, "--overwrite")
    (found / "catalogue" / "notes.txt").unlink()
    for name in ("my_figure.png", "sound10/my_notes.txt"):
        (found / "catalogue" / name).write_text("mine")
        assert f"catalogue holds {name}, which is not of a catalogue" in refused(capsys, *new, "--overwrite")
        (found / "catalogue" / name).unlink()
    assert main([*new, "--overwrite"]) == 0
    assert sorted(path.relative_to(found / "catalogue").as_posix() for path in (found / "catalogue").rglob("*.*")) == [
        "moves.tsv", "relu0_1.png", "sound11/original.wav", "sound11/relu0_1_+0.4.json", "sound11/relu0_1_+0.4.wav",
    ]  # fmt: skip
    assert not [path.name for path in found.iterdir() if path.name.startswith(".")]
    assert "bank is not empty and holds no catalogue" in refused(capsys, *new, "--overwrite", "--out", "bank")
    assert "bank is not empty and holds no catalogue" in refused(capsys, *new, "--out", "bank")
    assert "takes the place of a whole folder, and you are in ." in refused(capsys, *new, "--overwrite", "--out", ".")


def test_sounds_of_one_name_are_reported_before_any_is_moved(found, capsys, monkeypatch):
    monkeypatch.setattr(catalogue, "move", None)
    for name in ("sound0", "a_b", "a b"):
        (found / "more").mkdir(exist_ok=True)
        (found / "more" / f"{name}.wav").write_bytes((found / "bank" / f"sound{5 + len(name)}.wav").read_bytes())
    moving = ("explore", "catalogue", "bank/sound0.wav", *MODEL)
    assert "two different signals are named sound0; rename one of them" in refused(capsys, *moving, "more/sound0.wav")
    reported = refused(capsys, *moving, "more/a b.wav", "more/a_b.wav")
    assert "a b and a_b would share the folder a_b; rename one of them" in reported


def test_what_is_wrong_is_reported_in_a_line(found, capsys):
    sound = "bank/sound0.wav"
    again = ("explore", "dimensions", "bank", *MODEL, "--layers", "relu0", "--method", "pca", "--kept", "3")
    assert "dimensions of relu0 are there, found with another bank; choose another --out" in refused(capsys, *again)
    assert "nowhere does not exist" in refused(capsys, "explore", "dimensions", "nowhere", *MODEL, "--out", "other")
    assert "has no layer 'relu9'" in refused(capsys, "explore", "dimensions", "bank", *MODEL, "--layers", "relu9")
    few = ("explore", "dimensions", sound, *MODEL, "--layers", "relu0", "--out", "other")
    assert "the bank has 1 signal(s); ica needs at least 5" in refused(capsys, *few)
    moving = ("explore", "catalogue", sound, *MODEL)
    assert "--changes is '1,x'; it takes numbers" in refused(capsys, *moving, "--changes", "1,x")
    assert "--changes is '': there is nothing to move" in refused(capsys, *moving, "--changes", "")
    (found / "empty").mkdir()
    for places in ("--changes", "--coordinates"):
        nothing = ("explore", "catalogue", "empty", *MODEL, places, "1")
        assert "there are no recordings or photographs in empty" in refused(capsys, *nothing)
    assert "'relu0' names no dimension" in refused(capsys, *moving, "--choose", "relu0")
    assert "no dimensions of layer 'final'" in refused(capsys, *moving, "--choose", "final/0")
    assert "elsewhere holds no dimensions" in refused(capsys, *moving, "--dimensions", "elsewhere")
    assert "are of tiny with weights" in refused(
        capsys, "explore", "catalogue", sound, "--model", "permuted:tiny_models:sound_model:1"
    )
