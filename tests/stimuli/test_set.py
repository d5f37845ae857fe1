"""What a set says of itself."""

import csv
import json
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import tiny_stimuli as written

import audiometamer as am
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.metamers.evidence import AttemptRecord, Evidence
from audiometamer.metamers.results import iterate_results
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.summaries import AttemptSummary, EvidenceSummary
from audiometamer.signals.files import write_signal
from audiometamer.signals.presentation import PresentationSettings as ExportSettings
from audiometamer.stimuli import set as described
from audiometamer.stimuli.clips import known_clips
from audiometamer.stimuli.export import export
from audiometamer.stimuli.index import COLUMNS, read_index_rows
from audiometamer.stimuli.select import select
from audiometamer.stimuli.selection_rules import SelectionRules
from audiometamer.stimuli.verify import verify


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
        "label_metamer", "method", "loss", "exact", "initial", "stop", "attempt", "path", "steps", "seconds", "sample_rate",
        "duration", "rms", "peak", "attempts", "original", "clip_sha256", "weights_sha256",
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
    assert found.column_names == list(COLUMNS)
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


def test_the_tables_of_a_set_s_plans_tell_of_its_clips_by_name(stimuli, tmp_path):
    (stimuli / "clips.csv").write_text(
        "name,path,start,duration,word,licence\none_slt,../a.wav,0.5,,one,\none_rms,../b.wav,1.5,,one,CC0\n"
    )
    described.write_set(stimuli)
    assert table(stimuli / "clips.tsv") == [
        {"clip": "one_rms", "start": "1.5", "word": "one", "licence": "CC0"},
        {"clip": "one_slt", "start": "0.5", "word": "one", "licence": ""},
        {"clip": "two_slt", "start": "", "word": "", "licence": ""},
    ]
    # A later plan knows the third clip, and better what the licence of the second is.
    later = stimuli / "clips-2.csv"
    later.write_text("name,path,start,duration,voice,licence\ntwo_slt,../c.wav,,,slt,CC BY 4.0\none_rms,../b.wav,,,,CC BY 4.0\n")
    described.finalize(stimuli, clips=later)
    assert [(row["word"], row["voice"], row["licence"]) for row in table(stimuli / "clips.tsv")] == [
        ("one", "", "CC BY 4.0"), ("one", "", ""), ("", "slt", "CC BY 4.0"),
    ]  # fmt: skip
    # What a laboratory adds by hand stays, whichever run is the next to end.
    (tmp_path / "more.csv").write_text("name,source\none_slt,a book\n")
    described.write_set(stimuli, clips=tmp_path / "more.csv")
    described.finalize(stimuli, clips=stimuli / "clips.csv")
    assert [row["source"] for row in table(stimuli / "LICENCES.tsv")] == ["unknown", "a book", "unknown"]
    assert list(verify(stimuli)) == []


def test_a_run_that_made_nothing_ends_without_an_index(tmp_path):
    (tmp_path / "items").mkdir()
    (tmp_path / "clips.csv").write_text("name,path,start,duration\na,a.wav,,\n")
    described.finalize(tmp_path, clips=tmp_path / "clips.csv")
    assert not (tmp_path / "index.tsv").exists()


def test_an_item_made_between_the_index_and_the_manifest_of_another_run_is_indexed(stimuli, monkeypatch):
    clips = written.write_clips(stimuli / "clips.csv")
    turn, manifest, late = described.file_lock, described.write_manifest, ["relu2"]

    def write_manifest_late(stimulus_set):
        for layer in late:
            written.write_item(stimuli, clip="one_slt", layer=layer)
        late.clear()
        return manifest(stimulus_set)

    @contextmanager
    def after_another(lock):
        with turn(lock):
            described._write(stimuli, read_index_rows(stimuli), known_clips(stimuli))
        with turn(lock):
            yield

    monkeypatch.setattr(described, "write_manifest", write_manifest_late)
    monkeypatch.setattr(described, "file_lock", after_another)
    described.finalize(stimuli, clips=clips)
    assert [row["file"] for row in table(stimuli / "index.tsv")] == [row.file for row in read_index_rows(stimuli)]
    assert any(row["layer"] == "relu2" for row in table(stimuli / "index.tsv"))
    assert list(verify(stimuli)) == []


def test_what_another_run_has_just_written_is_not_written_again(stimuli, monkeypatch):
    clips = written.write_clips(stimuli / "clips.csv")
    turn, write, late, writes = described.file_lock, described._write, [], []

    @contextmanager
    def after_another(lock):
        with turn(lock):
            write(stimuli, read_index_rows(stimuli), known_clips(stimuli))
        for layer in late:  # made by us, after the other has looked
            written.write_item(stimuli, clip="one_slt", layer=layer)
        with turn(lock):
            yield

    monkeypatch.setattr(described, "file_lock", after_another)
    monkeypatch.setattr(described, "_write", lambda *args: (writes.append(args), write(*args)))
    described.finalize(stimuli, clips=clips)
    assert not writes
    late.append("relu2")
    described.finalize(stimuli, clips=clips)
    assert len(writes) == 1
    assert list(verify(stimuli)) == []


def test_where_a_later_attempt_is_the_best_it_is_the_item(stimuli, tmp_path):
    at = written.write_item(stimuli, clip="one_slt", layer="relu2")
    other = written.write_item(tmp_path / "other", clip="one_slt", layer="relu2", seed=7, samples=written.noise(7, 800))
    (at / "attempts" / "1").mkdir(parents=True)
    (other / "metamer.wav").rename(at / "attempts" / "1" / "metamer.wav")
    own = {name: json.loads((at / "item.json").read_text())[name] for name in ("key", "identity")}
    record = json.loads((other / "item.json").read_text()) | own
    record["evidence"]["settings"]["clip_sha256"] = own["identity"]["settings"]["clip_sha256"]
    (at / "attempts" / "1" / "item.json").write_text(json.dumps(record))
    (at / "item.json").write_text(json.dumps(record | {"file": "attempts/1/metamer.wav", "attempts": [0, 7]}))
    file = f"{at.relative_to(stimuli).as_posix()}/attempts/1/metamer.wav"

    (row,) = (row for row in described.write_set(stimuli) if row.layer == "relu2")
    assert (row.file, row.seed, row.duration, row.attempts) == (file, 7, 0.2, 2)
    assert list(verify(stimuli)) == []
    (found,) = select(stimuli, SelectionRules(only={"layer": ("relu2",)})).rows
    assert found.file == file
    made = export(stimuli, tmp_path / "out", to="folder", settings=ExportSettings(ramp=1.0))
    assert [entry.duration for entry in made if entry.layer == "relu2"] == [0.2]
    (stimuli / file).write_bytes(b"")
    assert list(verify(stimuli)) == [("changed", file)]


def test_one_licence_is_named(stimuli, tmp_path):
    described.write_set(stimuli, clips=written.write_clips(tmp_path / "clips.csv"), name="Vowels")
    found = json.loads((stimuli / "dataset_description.json").read_text())
    assert found.items() >= {"Name": "Vowels", "License": "CC BY 4.0"}.items()
    assert found["GeneratedBy"][0]["Name"] == "audiometamer"


def test_what_one_adds_to_the_description_stays(stimuli):
    described.write_set(stimuli, name="Vowels")
    path = stimuli / "dataset_description.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"Authors": ["A. Reader"], "License": "?"}))
    described.write_set(stimuli)
    found = json.loads(path.read_text())
    assert found.items() >= {"Name": "Vowels", "Authors": ["A. Reader"]}.items()
    assert "LICENCES.tsv" in found["License"]
    assert "# Vowels\n" in (stimuli / "README.md").read_text()
    path.write_text("[]")
    with pytest.warns(
        AudioMetamerWarning, match=r"description\.json is not a JSON object \(Expected `object`, got `array`\): it is set aside"
    ):
        described.write_set(stimuli)
    assert (stimuli / "dataset_description.json.broken").read_text() == "[]"
    assert list(verify(stimuli)) == []


def test_a_readme_of_ones_own_stays(stimuli):
    (stimuli / "README.md").write_text("# Ours\n")
    described.write_set(stimuli)
    assert (stimuli / "README.md").read_text() == "# Ours\n"


def test_unfinished_items_are_left_out(stimuli):
    next(stimuli.glob("items/one_rms/tiny/relu0*/item.json")).unlink()
    assert len(described.write_set(stimuli)) == 5


def test_what_synthesis_says_of_itself_is_read(tmp_path, tiny, tiny_clip):
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu0", steps=2, seed=3)
    at = written.write_item(tmp_path, samples=metamer.samples.flatten().numpy(), seed=3)
    write_signal(tmp_path / "originals" / "vowel@4000.wav", tiny_clip.samples, 4000)
    content = json.loads((at / "item.json").read_text()) | {"evidence": msgspec.to_builtins(metamer.evidence), "identity": {}}
    (at / "item.json").write_text(json.dumps(content))
    (row,) = described.write_set(tmp_path)
    assert (row.clip, row.layer, row.seed, row.steps) == ("vowel", "relu0", 3, 2)
    assert row.weights_sha256 == tiny.weights_sha256()
    assert row.rms == metamer.evidence.rms


def test_the_record_knows_the_fields_of_evidence():
    assert set(EvidenceSummary.__struct_fields__) <= set(Evidence.__struct_fields__)
    assert set(AttemptSummary.__struct_fields__) <= set(AttemptRecord.__struct_fields__)
    assert Settings in EvidenceSummary.__annotations__.values()


def test_a_clip_that_is_gone_is_reported(stimuli):
    next(stimuli.glob("originals/one_rms*")).unlink()
    with pytest.warns(AudioMetamerWarning, match=r"originals/one_rms@4000\.wav, the original of item\.json, is gone"):
        rows = described.write_set(stimuli)
    assert {row.clip for row in rows} == {"one_slt", "two_slt"}
    assert {difference.kind for difference in verify(stimuli)} == {"extra", "missing"}


def test_bad_sets_are_reported_in_a_line(stimuli, tmp_path):
    with pytest.raises(AudioMetamerError, match="nowhere is no stimulus set: it does not exist"):
        described.write_set(tmp_path / "nowhere")
    (tmp_path / "other").mkdir()
    with pytest.raises(AudioMetamerError, match="other holds no metamers; give the --out folder"):
        list(iterate_results(tmp_path / "other"))
    (tmp_path / "other" / "items").mkdir()
    with pytest.raises(AudioMetamerError, match="holds no finished metamer yet"):
        described.write_set(tmp_path / "other")
    sound = next(stimuli.glob("items/*/*/*/metamer.wav"))
    sound.write_bytes(sound.read_bytes()[:20])
    with pytest.warns(AudioMetamerWarning, match=r"metamer\.wav, the signal of item\.json, is cut short: counts as not made"):
        assert len(described.write_set(stimuli)) == 5
    sound.with_name("item.json").write_text('{"key": 3}')
    with pytest.warns(AudioMetamerWarning, match=r"item\.json is not the record of an item: .*key.*: counts as not made"):
        assert len(described.write_set(stimuli)) == 5
    assert {Path(difference.file).parent for difference in verify(stimuli)} == {sound.parent.relative_to(stimuli)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("word,licence\none,x\n", "has no column name or path; it has word, licence"),
        ("path,word\n", "has no rows"),
        ("", "has no rows"),
        ("path,word\na.wav,one\n", r"describes none of the clips of .* \(one_rms, …\); it has a"),
        ("path,word\na.wav\n", "line 2: 1 cell; there should be 2"),
        ("path,word\na.wav,one\nb/a.flac,two\n", "describes two clips named a differently"),
    ],
)
def test_bad_tables_of_clips_are_reported_in_a_line(stimuli, tmp_path, content, message):
    path = tmp_path / "clips.csv"
    path.write_text(content)
    with pytest.raises(AudioMetamerError, match=message):
        described.write_set(stimuli, clips=path)
    assert not (stimuli / "MANIFEST.sha256").exists()
