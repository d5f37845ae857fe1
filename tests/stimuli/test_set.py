"""What a set says of itself."""

import csv
import json

import msgspec
import pytest
import tiny_stimuli as written

import audiometamer as am
from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.evidence import Evidence, Settings
from audiometamer.stimuli import set as described
from audiometamer.stimuli.layout import Summary, read_items


@pytest.fixture
def stimuli(tmp_path):
    return written.write_items(tmp_path / "set", failed=[("two_slt", "relu1")])


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_index_has_a_row_for_each_item(stimuli):
    described.write_set(stimuli)
    rows = table(stimuli / "index.tsv")
    assert list(rows[0]) == [
        "file", "key", "clip", "model", "layer", "seed", "verdict", "snr_db", "spearman_rho", "pearson_r2", "label_clip",
        "label_metamer", "method", "loss", "steps", "seconds", "sample_rate", "duration", "rms", "peak", "attempts", "original",
        "clip_sha256", "weights_sha256",
    ]  # fmt: skip
    assert [(row["clip"], row["layer"], row["verdict"]) for row in rows] == [
        ("one_rms", "relu0", "passed"), ("one_rms", "relu1", "passed"), ("one_slt", "relu0", "passed"),
        ("one_slt", "relu1", "passed"), ("two_slt", "relu0", "passed"), ("two_slt", "relu1", "failed"),
    ]  # fmt: skip
    assert all((stimuli / row["file"]).exists() and (stimuli / row["original"]).exists() for row in rows)
    assert {row["duration"] for row in rows} == {"0.25"}
    assert {row["rms"] for row in rows} == {"0.1"}


def test_parquet_holds_the_same_with_types(stimuli):
    import pyarrow.parquet

    rows = described.write_set(stimuli)
    found = pyarrow.parquet.read_table(stimuli / "index.parquet")
    assert found.column_names == list(described.COLUMNS)
    assert found["seed"].to_pylist() == [0] * 6
    assert found["rms"].to_pylist() == [row.rms for row in rows]
    assert found["file"].to_pylist() == [row["file"] for row in table(stimuli / "index.tsv")]


def test_without_pyarrow_no_old_parquet_stays(stimuli, monkeypatch):
    described.write_set(stimuli)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    described.write_set(stimuli)
    assert not (stimuli / "index.parquet").exists()
    assert "parquet" not in (stimuli / "MANIFEST.sha256").read_text()


def test_licences_are_gathered_and_what_is_unknown_is_said(stimuli, tmp_path):
    clips = written.write_clips(tmp_path / "clips.csv", ("one_slt", "one_rms"))
    described.write_set(stimuli, clips=clips)
    known = {"licence": "CC BY 4.0", "attribution": "A. Speaker", "source": "https://example.org"}
    assert table(stimuli / "LICENCES.tsv") == [
        {"clip": "one_rms", **known}, {"clip": "one_slt", **known}, {"clip": "two_slt", **dict.fromkeys(known, "unknown")},
    ]  # fmt: skip
    assert [row["voice"] for row in table(stimuli / "clips.tsv")] == ["rms", "slt", ""]
    readme = (stimuli / "README.md").read_text()
    assert "Not known: two_slt (licence, attribution, source)." in readme
    assert "6 metamers of\n3 clips" in readme
    assert "tiny (weights 111111111111…)" in readme
    assert "- unknown: 1 clip\n" in readme
    assert "| tiny | relu1 | 3 | 2 | 1 | 0 | 67 % |" in readme
    found = json.loads((stimuli / "dataset_description.json").read_text())
    assert found["DatasetType"] == "derivative"
    assert "LICENCES.tsv" in found["License"]
    before = (stimuli / "MANIFEST.sha256").read_text()
    described.write_set(stimuli)
    assert (stimuli / "MANIFEST.sha256").read_text() == before


def test_one_licence_is_named(stimuli, tmp_path):
    described.write_set(stimuli, clips=written.write_clips(tmp_path / "clips.csv"), name="Vowels")
    found = json.loads((stimuli / "dataset_description.json").read_text())
    assert found.items() >= {"Name": "Vowels", "License": "CC BY 4.0"}.items()
    assert found["GeneratedBy"][0]["Name"] == "audiometamer"


def test_a_readme_of_ones_own_stays(stimuli):
    (stimuli / "README.md").write_text("# Ours\n")
    described.write_set(stimuli)
    assert (stimuli / "README.md").read_text() == "# Ours\n"


def test_unfinished_items_are_left_out(stimuli):
    next(stimuli.glob("items/one_rms/tiny/relu0*/item.json")).unlink()
    assert len(described.write_set(stimuli)) == 5


def test_what_synthesis_says_of_itself_is_read(tmp_path, tiny, tiny_clip):
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu0", steps=2, seed=3)
    at = written.write_item(tmp_path, samples=metamer.samples.flatten().numpy())
    content = json.loads((at / "item.json").read_text()) | {"evidence": msgspec.to_builtins(metamer.evidence)}
    (at / "item.json").write_text(json.dumps(content))
    (row,) = described.write_set(tmp_path)
    assert (row.clip, row.layer, row.seed, row.steps) == ("vowel", "relu0", 3, 2)
    assert row.weights_sha256 == tiny.weights_sha256()
    assert row.rms == metamer.evidence.rms


def test_the_record_knows_the_fields_of_evidence():
    assert set(Summary.__struct_fields__) <= set(Evidence.__struct_fields__)
    assert Settings in Summary.__annotations__.values()


def test_bad_sets_are_told_in_a_line(stimuli, tmp_path):
    with pytest.raises(AudioMetamerError, match="nowhere is no stimulus set: it does not exist"):
        described.write_set(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    with pytest.raises(AudioMetamerError, match="has no folder items"):
        read_items(tmp_path / "other")
    (tmp_path / "other" / "items").mkdir()
    with pytest.raises(AudioMetamerError, match="holds no finished item"):
        described.write_set(tmp_path / "other")
    sound = next(stimuli.glob("items/*/*/*/metamer.wav"))
    sound.write_bytes(sound.read_bytes()[:20])
    with pytest.raises(AudioMetamerError, match=r"metamer\.wav cannot be read as audio"):
        described.write_set(stimuli)
    next(stimuli.glob("items/*/*/*/item.json")).write_text('{"key": 3}')
    with pytest.raises(AudioMetamerError, match=r"item\.json is not the record of an item: .*key"):
        described.write_set(stimuli)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word,licence\none,x\n", "has no column path; it has word, licence"),
        ("path,word\n", "has no rows"),
        ("", "has no column path; it has none"),
        ("path,word\na.wav,one\n", r"tells of none of the clips of .* \(one_rms, …\); it has a"),
        ("path,word\na.wav\n", "row 2: 1 cells; there should be 2"),
        ("path,word\na.wav,one\nb/a.flac,two\n", "tells different things of two clips named a"),
    ],
)
def test_bad_tables_of_clips_are_told_in_a_line(stimuli, tmp_path, content, message):
    path = tmp_path / "clips.csv"
    path.write_text(content)
    with pytest.raises(AudioMetamerError, match=message):
        described.write_set(stimuli, clips=path)
    assert not (stimuli / "MANIFEST.sha256").exists()
