"""Clips that are one vector for each modality: in a folder of features, and in FOP's files."""

import os

import numpy as np
import pytest

from counterpoint.data import PreparedFeatures, load_table
from counterpoint.data.datasets import _fop_files as fop_features
from counterpoint.data.datasets import fop
from counterpoint.data.datasets.feature_folder import parse_clips
from counterpoint.errors import DataError, DatasetNotFoundError
from feature_files import write

ROWS = 24
RNG = np.random.default_rng(0)
VECTORS = {"audio": RNG.normal(size=(ROWS, 3)).astype(np.float32), "visual": RNG.normal(size=(ROWS, 5))}


def folder(root, vectors=VECTORS, table=None, header="clip,class,split"):
    write(root / "features.h5", **vectors)
    sides = ("train", "train", "val", "test")
    rows = [f"c{k},{'dog' if k % 2 else 'cat'},{sides[k // 6]}" for k in range(ROWS)] if table is None else table
    (root / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    return root


def test_a_vector_and_a_class_for_each_clip(tmp_path):
    table = load_table("features", folder(tmp_path / "mine"))
    assert table.events is None and table.segments is None and table.features.segments is None
    assert table.features.dims == {"audio": 3, "visual": 5} and table.classes == ("cat", "dog")
    prepared = PreparedFeatures(table, cache=tmp_path / "cache")
    assert prepared.segments is None and not prepared.skipped
    batch = prepared.split("val").batch([1, 4])
    assert np.array_equal(batch["audio"].numpy(), VECTORS["audio"][[13, 16]])
    assert np.allclose(batch["visual"].numpy(), VECTORS["visual"][[13, 16]])
    assert batch["target"].tolist() == [1, 0] and batch["index"].tolist() == [1, 4]
    one = prepared.split("val")[1]
    assert one["audio"].shape == (3,) and one["target"].shape == ()


def test_bad_rows_and_rows_without_a_class_are_set_aside(tmp_path):
    vectors = {**VECTORS, "audio": VECTORS["audio"].copy()}
    vectors["audio"][3, 1] = np.nan
    rows = [
        f"c{k},{'' if k == 1 else 'dog' if k % 2 else 'cat'},{('train', 'val', 'test')[k % 3]}" for k in range(ROWS)
    ]
    table = load_table("features", folder(tmp_path, vectors, rows))
    assert table.rejected == {"c1": "it has no class in clips.csv"}
    prepared = PreparedFeatures(table, cache=tmp_path / "cache", max_bad=0.1)
    assert set(prepared.skipped) == {"c1", "c3"}


def test_a_split_is_drawn(tmp_path):
    rows = [f"c{k},{'dog' if k % 2 else 'cat'},g{k // 3}" for k in range(ROWS)]
    table = load_table("features", folder(tmp_path, table=rows, header="clip,class,group"), seed=3)
    assert not table.shared_groups() and {clip.split for clip in table.clips} == {"train", "val", "test"}


def test_what_does_not_fit(tmp_path):
    mixed = {"audio": VECTORS["audio"], "visual": np.zeros((ROWS, 4, 2, 2, 3))}
    with pytest.raises(
        DataError, match="audio features are one vector for each clip .*, but the visual features are of"
    ):
        load_table("features", folder(tmp_path / "a", mixed))
    (folder(tmp_path / "b") / "events.csv").write_text("clip,start,end,class\n")
    with pytest.raises(DataError, match="events need features of segments"):
        load_table("features", tmp_path / "b")
    with pytest.raises(DataError, match="'seconds' is missing, which features of segments need"):
        load_table("features", folder(tmp_path / "c", {"audio": np.zeros((ROWS, 4, 3))}))
    with pytest.raises(DataError, match=r"must be \(clips, T, D\), or one vector for each clip, \(clips, D\)"):
        load_table("features", folder(tmp_path / "d", {"audio": np.zeros((ROWS, 4, 3, 2))}))
    assert [row.seconds for row in parse_clips("clip,class\na,b\n", "clips.csv")] == [None]


# ---------------------------------------------------------------------- FOP


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr(fop_features, "DIMS", {"audio": 3, "visual": 5})
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    for name, modality in (("voice", "audio"), ("face", "visual")):
        lines = [",".join(f"{value:.6g}" for value in row) for row in VECTORS[modality]]
        who = [f"{line},{('12', '7', '901')[k % 3]}\n" for k, line in enumerate(lines)]
        (tmp_path / f"{name}Train.csv").write_text("".join(who))
        (tmp_path / f"{name}_veriflist_test_unseenunheard.csv").write_text("\n".join(lines[:5]) + "\n")
    return tmp_path


def test_training_pairs_as_clips(files):
    table = load_table("fop", files, val=0.2, test=0.2, seed=1)
    assert table.name == "fop/speaker" and table.classes == ("12", "7", "901")
    assert [clip.id for clip in table.clips[:3]] == ["12/1", "7/2", "901/3"]
    prepared = PreparedFeatures(table, check=True)
    for split in ("train", "val", "test"):
        clips, data = prepared.clips(split), prepared.split(split)
        batch = data.batch(range(len(clips)))
        rows = [int(clip.id.split("/")[1]) - 1 for clip in clips]
        for modality, values in VECTORS.items():
            assert np.allclose(batch[modality].numpy(), values[rows], rtol=1e-4)
        assert [table.classes[k] for k in batch["target"]] == [clip.id.split("/")[0] for clip in clips]
    assert any("may stand on both sides" in note for note in table.notes)


def test_files_are_read_once(files, monkeypatch):
    first = load_table("fop", files, val=0.2, test=0.2)
    with monkeypatch.context() as patch:
        patch.setattr(fop, "read_training", lambda root: pytest.fail("read again"))
        assert load_table("fop", files, val=0.2, test=0.2).clips == first.clips
    path = files / "voiceTrain.csv"
    path.write_text(path.read_text().replace(",901\n", ",902\n"))
    face = files / "faceTrain.csv"
    face.write_text(face.read_text().replace(",901\n", ",902\n"))
    os.utime(path, ns=(1, 1))
    assert load_table("fop", files, val=0.2, test=0.2).classes == ("12", "7", "902")
    assert not [p for p in (files / "cache" / "fop").iterdir() if p.suffix != ".h5"]


def test_test_pairs(files):
    for name in ("unseenunheard", "face_veriflist_test_unseenunheard.csv"):
        tables = fop.pair_tables(name, files)
        assert tables.pairs.target.tolist() == [True, False, True, False, True] and len(tables.pairs.utterances) == 10
        names = tables.pairs.utterances
        assert (names[tables.pairs.first[1]], names[tables.pairs.second[1]]) == ("voice/2", "face/2")
        voices = PreparedFeatures(tables.voices).split("test").batch([1])
        assert set(voices) == {"audio", "target", "index"}
        assert np.allclose(voices["audio"][0], VECTORS["audio"][1], rtol=1e-4)
        faces = PreparedFeatures(tables.faces).split("test").batch([4])
        assert np.allclose(faces["visual"][0], VECTORS["visual"][4], rtol=1e-4)
    with pytest.raises(DatasetNotFoundError, match="seenheard"):
        fop.pair_tables("seenheard", files)


def test_a_folder_without_them(tmp_path):
    with pytest.raises(DatasetNotFoundError, match="voiceTrain.csv"):
        load_table("fop", tmp_path)
