import numpy as np
import pytest

from counterpoint.data.datasets import _fop_files as fop_features
from counterpoint.data.datasets._fop_files import read_test, read_training
from counterpoint.errors import DataError, DatasetNotFoundError


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(fop_features, "DIMS", {"audio": 3, "visual": 5})


def write(path, numbers, last=None):
    lines = [",".join(f"{value:.6g}" for value in row) for row in numbers]
    if last is not None:
        lines = [f"{line},{name}" for line, name in zip(lines, last, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    speakers = ["12", "7", "12", "901"]
    for name, width in (("voice", 3), ("face", 5)):
        write(tmp_path / "features" / f"{name}Train.csv", rng.standard_normal((4, width)), speakers)
        # the published files may have columns behind the features
        write(
            tmp_path / "features" / f"{name}_veriflist_test_unseenunheard.csv", rng.standard_normal((3, width)), "xyz"
        )
    return tmp_path


def test_training_pairs(folder):
    pairs = read_training(folder)
    assert len(pairs) == 4 and pairs.speakers == ("12", "7", "901")
    assert pairs.target.tolist() == [0, 1, 0, 2] and pairs.target.dtype == np.int64
    assert {name: rows.shape for name, rows in pairs.features.items()} == {"audio": (4, 3), "visual": (4, 5)}
    rng = np.random.default_rng(0)
    assert pairs.features["audio"] == pytest.approx(rng.standard_normal((4, 3)), rel=1e-5)


def test_test_pairs_are_of_one_speaker_and_of_two_in_turn(folder):
    pairs = read_test(folder / "features")
    assert pairs.target.tolist() == [1, 0, 1] and pairs.features["visual"].dtype == np.float32
    (folder / "features" / "voice_veriflist_test_unseenunheard.csv").rename(
        folder / "features" / "voice_veriflist_test_random_unseenunheard.csv"
    )
    assert read_test(folder).features["audio"].shape == (3, 3)
    with pytest.raises(DatasetNotFoundError, match=r"no voice_veriflist_test_seenheard\.csv in .*msaadsaeed/FOP"):
        read_test(folder, "seenheard")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1,2,x,12", "could not convert string 'x'"),
        ("1,2,nan,12", "line 2: a feature is not finite"),
        ("1,2,12", "line 2: 3 features and a speaker"),
        ("1,2,3,", "line 2: 3 features and a speaker"),
        ("1,2,3,8", "line 2: the speaker is '8', but '7' in"),
    ],
)
def test_lines_that_do_not_fit(line, why, folder):
    path = folder / "features" / "voiceTrain.csv"
    lines = path.read_text().splitlines()
    lines[1] = line.replace(",12", ",7") if line.endswith(",12") and line.count(",") == 3 else line
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"voiceTrain\.csv.*{why}"):
        read_training(folder)


def test_files_that_do_not_belong_together(folder):
    path = folder / "features" / "voiceTrain.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:3]))
    with pytest.raises(DataError, match="has 3 lines and .*faceTrain.csv 4"):
        read_training(folder)
    (folder / "features" / "voice_veriflist_test_unseenunheard.csv").write_text("1,2\n")
    with pytest.raises(DataError, match="it has 2 columns, but there are 3 features"):
        read_test(folder)
    (folder / "features" / "voice_veriflist_test_unseenunheard.csv").write_text("")
    with pytest.raises(DataError, match=r"^\S*voice_veriflist_test_unseenunheard\.csv is empty$"):
        read_test(folder)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="LFS pointer"):
        read_training(folder)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"voiceTrain\.csv"):
        read_training(folder)
    path.unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no voiceTrain\.csv"):
        read_training(folder)
