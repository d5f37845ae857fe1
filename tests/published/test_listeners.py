"""Published listeners: their matrices, the table made of them, and finding them by name."""

import numpy as np
import pytest
from tiny_published import HUMAN, LAYERS, matrix_name, write_matrix

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import read_table
from audiometamer.published.listeners import COLUMNS, find_published, published_listeners, read_matrix, read_published


def test_a_matrix_is_read_as_it_was_published(tmp_path):
    found = read_matrix(write_matrix(tmp_path, network="kell2018_l2_1_robust_waveform", experiment=4, listeners=12))
    assert (found.paper, found.experiment, found.network) == ("Feather et al. 2023", "4", "cochcnn9-l2-1-robust-waveform")
    assert found.source == f"Feather et al. 2023, {matrix_name('kell2018_l2_1_robust_waveform', 4)}"
    assert found.layers == ["natural", "cochleagram", "relu0", "relu1", "final"]
    assert found.listeners == [str(k) for k in range(12)]  # the file pads them with blanks
    assert found.human[3].tolist() == pytest.approx([0.88, 0.83, 0.73, 0.43, 0.13])
    assert found.recognised.tolist() == [[1.0] * 5] * 12


def test_observers_are_told_by_their_names(tmp_path):
    path = write_matrix(tmp_path, conditions=["Network", "Human"])
    assert read_matrix(path).recognised[0].tolist() == pytest.approx(HUMAN)


def test_matrices_become_one_table_that_is_read_back(tmp_path):
    missing = np.full((2, 5, 2), 0.5)
    missing[1, 2, 0] = np.nan
    write_matrix(
        tmp_path, network="spectemp_filters", experiment=6, layers=("natural_audio", "spectempfilter_power"), listeners=3
    )
    write_matrix(tmp_path, listeners=2, participant_data_matrix=missing)
    made = published_listeners(tmp_path, tmp_path / "out")
    assert [(group.experiment, group.network) for group in made] == [("1", "cochcnn9"), ("6", "spectemp")]
    assert made[1].layers == ["natural", "power"]
    table = tmp_path / "out" / "listeners.tsv"
    rows = read_table(table)
    assert (tuple(rows[0]), len(rows)) == (COLUMNS, 2 * 5 * 2 - 1 + 3 * 2 * 2)
    for back, group in zip(read_published(table), made, strict=True):
        assert vars(back).keys() == vars(group).keys()
        for name, value in vars(group).items():
            np.testing.assert_array_equal(getattr(back, name), value)  # all digits
    with pytest.raises(AudioMetamerError, match="exists; overwrite replaces it"):
        published_listeners(tmp_path, tmp_path / "out")
    published_listeners(tmp_path, tmp_path / "out", overwrite=True)


def test_a_table_of_ones_own(tmp_path):
    path = tmp_path / "pilot.csv"
    path.write_text("participant,layer,observer,proportion_correct\na,natural,human,1\nb,natural,human,0.5\nb,final,human,\n")
    (group,) = read_published(path)
    assert (group.network, group.source, group.layers) == ("pilot", "pilot.csv", ["natural", "final"])
    np.testing.assert_array_equal(group.human, [[1, np.nan], [0.5, np.nan]])
    assert np.isnan(group.recognised).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,final,robot,1", "line 3: observer 'robot' should be human or network"),
        ("a,natural,human,0", "line 3: participant a has natural human twice"),
        ("a,final,human,half", "line 3: proportion_correct 'half' is not a number"),
        ("a,final,human,50", "a proportion correct is 50; it should be from 0 to 1"),
        ("a,final,human,inf", "a proportion correct is inf; it should be from 0 to 1"),
    ],
)
def test_tables_that_are_wrong(tmp_path, row, message):
    path = tmp_path / "own.csv"
    path.write_text(f"participant,layer,observer,proportion_correct\na,natural_audio,human,1\n{row}\n")
    with pytest.raises(AudioMetamerError, match=message):
        read_published(path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"participant_data_matrix": None}, "not a published matrix of listeners: 'participant_data_matrix'"),
        ({"participant_data_matrix": np.ones((5, 4, 2))}, r"shape \(5, 4, 2\).*expected \(4, 5, 2\)"),
        ({"participant_data_matrix": np.full((4, 5, 2), 87.0)}, "a proportion correct is 87; it should be from 0 to 1"),
        ({"axis_order": ["model_layers", "participants", "conditions"]}, "axes model_layers, participants, conditions"),
        ({"conditions": ["Human", "Robot"]}, "observers Human, Robot; expected"),
        ({"participants": ["0", "1", "1", "2"]}, "has '1' several times"),
        ({"model_layers": [*LAYERS[:4], LAYERS[3]]}, "has 'relu1' several times"),
    ],
)
def test_matrices_that_are_wrong(tmp_path, changed, message):
    path = write_matrix(tmp_path, **changed)
    with pytest.raises(AudioMetamerError, match=message):
        read_matrix(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 7.3 MAT-file" + b" " * 105 + b"\x00\x02IM" + b"\x89HDF" * 9, "a file of MATLAB 7.3"),
        (b"no matrix at all", "not a file of MATLAB"),
        (b"", "not a file of MATLAB"),
    ],
)
def test_files_that_are_no_matrices(tmp_path, content, message):
    (tmp_path / "other.mat").write_bytes(content)
    with pytest.raises(AudioMetamerError, match=message):
        read_published(tmp_path / "other.mat")


def test_broken_matrices_raise_one_line(tmp_path):
    whole = write_matrix(tmp_path).read_bytes()
    cut = tmp_path / "cut.mat"
    for length in range(1, len(whole), 97):
        cut.write_bytes(whole[:length])
        with pytest.raises(AudioMetamerError, match=r"cut\.mat"):
            read_matrix(cut)


def test_they_are_found_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    with pytest.raises(
        AudioMetamerError, match=r"are not here yet: `audiometamer published get feather2023/listeners` fetches them"
    ):
        find_published("feather2023")
    for network, experiment in (("kell2018", 1), ("cochresnet50", 1), ("cochresnet50", 3)):
        write_matrix(tmp_path / "repository", network=network, experiment=experiment)
    published_listeners(tmp_path / "repository", tmp_path / "home" / "data" / "feather2023" / "listeners")

    def names(name):
        return [(group.experiment, group.network) for group in find_published(name)]

    everything = [("1", "cochcnn9"), ("1", "cochresnet50"), ("3", "cochresnet50")]
    assert names("feather2023") == names(str(tmp_path / "repository")) == everything
    assert names("feather2023/cochresnet50") == everything[1:]
    assert names("feather2023/experiment3/cochresnet50") == everything[2:]
    with pytest.raises(AudioMetamerError, match="no listeners of cochresnet5; did you mean 'cochresnet50'"):
        find_published("feather2023/cochresnet5")
    with pytest.raises(AudioMetamerError, match=r"kell2018 is neither a table of listeners, nor a \.mat file"):
        find_published("kell2018")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioMetamerError, match="holds no AudioExperiment"):
        find_published(str(tmp_path / "empty"))
