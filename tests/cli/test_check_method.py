"""``audiometamer check-method``: of a user's own network, with the shipped clips or others."""

import pytest
from command_line import refused
from tiny_models import make_clip

import audiometamer as am
from audiometamer.cli import main
from audiometamer.evaluation import likeness

MODEL = "tiny_models:plain_module"


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(likeness, "_SHORTEST", 10.0)  # modulation spectra take longer than all the rest


def test_a_network_of_the_user_s_own(capsys):
    for k, name in enumerate(("a.wav", "b.wav")):
        am.write_wav(name, make_clip("clip", k).samples, 4000)
    command = ["check-method", MODEL, "a.wav", "b.wav", "--steps", "4", "--out", "check"]
    assert main(command) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split() == ["layer", "measured", "at", "measure", "4", "steps", "8", "steps", "drift", "low", "high"]
    (matched,) = [line.split() for line in printed if line.split()[:3] == ["conv", "conv", "snr_db"]]
    assert float(matched[4]) > float(matched[3])
    assert "measures drift: the 95 % interval over 2 clips does not contain 0" in printed[-2]
    assert printed[-1] == "table: check/drift.tsv   metamers: check"
    assert "drift.tsv exists; choose another --out" in refused(capsys, *command)
    assert main([*command, "--overwrite"]) == 0


def test_without_clips_shipped_words_are_used(capsys):
    assert main(["check-method", MODEL, "--steps", "1", "--start", "0.5"]) == 0
    assert "over 4 clips" in capsys.readouterr().out
