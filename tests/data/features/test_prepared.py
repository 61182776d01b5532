import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from counterpoint.data import Clip, ClipTable, Event, FeatureRow, Features, PreparedFeatures, collate
from counterpoint.data.features import validate as feature_check
from counterpoint.errors import ConfigError, DataError
from counterpoint.media.spec import MediaSpec
from feature_files import cut, numbers, write

CLIPS = 12
AUDIO, VISUAL = numbers("audio", CLIPS, 1), numbers("visual", CLIPS, 2, np.float64)
ORDER = [7, 0, 11, 3, 4, 9, 1, 10, 2, 8, 6, 5]  # the row of clip k


def table_of(root, audio=AUDIO, visual=VISUAL, *, name="data", seconds=10.0, order=ORDER):
    """Clip k of class k % 2 has its event from second k % 5 on; four each of train, val and test."""
    files = {"audio": write(root / "a.h5", **{name: audio}), "visual": write(root / "v.h5", **{name: visual})}
    rows = {m: {f"c{k}": FeatureRow(path, name, row) for k, row in enumerate(order)} for m, path in files.items()}
    return ClipTable(
        name="tiny",
        classes=("dog", "cat"),
        clips=tuple(Clip(f"c{k}", Path("none"), k % 2, ("train", "val", "test")[k // 4]) for k in range(CLIPS)),
        media=MediaSpec(seconds=seconds),
        events={f"c{k}": (Event(k % 2, k % 5, 10.0),) for k in range(CLIPS)},
        segments=10,
        features=Features(rows),
    )


@pytest.fixture
def prepared(tmp_path):
    return PreparedFeatures(table_of(tmp_path), cache=tmp_path / "cache")


def test_what_is_known_without_reading(tmp_path):
    features = table_of(tmp_path).features
    assert features.dims == {"audio": 3, "visual": 4} and features.segments == 10
    assert features.shapes["visual"] == (10, 2, 2, 4) and features.modalities == ("audio", "visual")


def test_items_are_the_rows_of_their_clips(prepared):
    assert prepared.decoded == 0 and not prepared.skipped and prepared.modalities == ("audio", "visual")
    assert prepared.spec.seconds == 10 and prepared.segments == 10
    clips = prepared.split("val")
    assert len(clips) == 4 and [clip.id for clip in clips.clips] == ["c4", "c5", "c6", "c7"]
    item = clips[1]
    assert torch.equal(item["audio"], torch.from_numpy(AUDIO[ORDER[5]]))
    assert torch.equal(item["visual"], torch.from_numpy(VISUAL[ORDER[5]]).float())
    assert {name: (x.dtype, tuple(x.shape)) for name, x in item.items()} == {
        "audio": (torch.float32, (10, 3)),
        "visual": (torch.float32, (10, 2, 2, 4)),
        "target": (torch.int64, (10,)),
        "index": (torch.int64, ()),
    }
    assert item["index"] == 1 and item["target"].tolist() == [1] * 10  # c5: class 1 from 0 s on
    assert clips[3]["target"].tolist() == [2, 2] + [1] * 8  # c7: from 2 s on; before, background
    assert torch.equal(clips[-1]["audio"], clips[3]["audio"])
    with pytest.raises(IndexError):
        clips[4]


def test_a_batch_is_in_the_order_asked_for_and_read_in_the_order_of_the_file(prepared, monkeypatch):
    clips = prepared.split("test")
    read = []
    direct = h5py.Dataset.read_direct
    monkeypatch.setattr(h5py.Dataset, "read_direct", lambda self, *a: read.append(a[1]) or direct(self, *a))
    batch = clips.batch([3, 0, 2, 0])
    rows = [ORDER[8 + k] for k in (3, 0, 2, 0)]
    assert read == 2 * sorted(rows)
    assert torch.equal(batch["audio"], torch.from_numpy(AUDIO[rows]))
    assert batch["index"].tolist() == [3, 0, 2, 0]
    assert torch.equal(batch["target"], clips.targets[[3, 0, 2, 0]])
    items = clips.__getitems__([3, 0])
    assert len(items) == 2 and torch.equal(collate(items)["visual"], batch["visual"][:2])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_loading_processes_open_the_files_for_themselves(prepared, context):
    clips = prepared.split("train")
    first = clips[0]  # open here already
    loader = DataLoader(clips, batch_size=2, num_workers=2, collate_fn=collate, multiprocessing_context=context)
    batches = list(loader)
    assert torch.equal(torch.cat([b["audio"] for b in batches]), torch.from_numpy(AUDIO[ORDER[:4]]))
    assert torch.equal(clips[0]["audio"], first["audio"])
    again = pickle.loads(pickle.dumps(clips))
    assert torch.equal(again[2]["visual"], clips[2]["visual"])


def test_one_modality_alone(tmp_path):
    prepared = PreparedFeatures(table_of(tmp_path), cache=tmp_path, modalities=("visual",))
    assert set(prepared.split("train")[0]) == {"visual", "target", "index"}
    with pytest.raises(ConfigError, match="Did you mean 'visual'"):
        PreparedFeatures(table_of(tmp_path), modalities=("visuals",), cache=tmp_path)


def test_clips_of_other_lengths(tmp_path):
    table = table_of(tmp_path)
    clips = tuple(Clip(c.id, c.path, c.label, c.split, end=20.0) for c in table.clips)
    table = ClipTable("tiny", table.classes, clips, table.media, events=table.events, features=table.features)
    targets = PreparedFeatures(table, cache=tmp_path).split("train").targets
    assert targets[0].tolist() == [0] * 5 + [2] * 5  # 0 to 10 s of 20: the first half of the segments


def spoilt(values, row, what=np.nan):
    values = values.copy()
    values[row].flat[5] = what
    return values


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (np.nan, "1 of 160 values are NaN"),
        (np.inf, "infinite values"),
        (-np.inf, "infinite values"),
        (1e300, "infinite values"),
    ],
)
def test_a_bad_row_is_set_aside_and_the_others_go_on(tmp_path, what, reason):
    table = table_of(tmp_path, visual=spoilt(VISUAL, ORDER[2], what))
    prepared = PreparedFeatures(table, cache=tmp_path / "cache", max_bad=0.1)
    assert list(prepared.skipped) == ["c2"]
    assert prepared.skipped["c2"] == f"its visual features (v.h5, row 11): {reason}"
    assert [clip.id for clip in prepared.clips("train")] == ["c0", "c1", "c3"]
    assert torch.equal(prepared.split("train").batch([2])["audio"][0], torch.from_numpy(AUDIO[ORDER[3]]))
    with pytest.raises(DataError, match=r"1 of 12 clips \(8\.3%\) cannot be used, more than max_bad = 5\.0%"):
        PreparedFeatures(table, cache=tmp_path / "cache")
    with pytest.raises(ConfigError, match="max_bad"):
        PreparedFeatures(table, cache=tmp_path / "cache", max_bad=2)


def test_a_large_file_is_not_read_unasked_and_what_was_found_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_check, "SMALL_BYTES", AUDIO.nbytes)
    monkeypatch.setattr(feature_check, "_BLOCK_BYTES", 5 * 10 * 16 * 4)  # five rows of sight
    table, cache = table_of(tmp_path, visual=spoilt(VISUAL, ORDER[2])), tmp_path / "cache"
    prepared = PreparedFeatures(table, cache=cache, max_bad=0.5)
    assert not prepared.skipped
    with pytest.raises(DataError, match=r"row 11, the visual features of clip 'c2', has NaN .*counterpoint prepare"):
        prepared.split("train").batch([0, 2, 1])

    steps = []
    checked = PreparedFeatures(table, cache=cache, max_bad=0.5, check=True, progress=lambda *s: steps.append(s))
    assert list(checked.skipped) == ["c2"] and steps == [(5, 12), (10, 12), (12, 12)]
    steps.clear()
    again = PreparedFeatures(table, cache=cache, max_bad=0.5, progress=lambda *s: steps.append(s))
    assert list(again.skipped) == ["c2"] and not steps  # known, and not read again
    again.split("train").batch([0, 1, 2])
    for memory in (cache / "features").iterdir():
        memory.write_text("{")
    assert not PreparedFeatures(table, cache=cache, max_bad=0.5).skipped
    write(tmp_path / "v.h5", data=VISUAL[:, :, :1])  # another file of that name
    assert not PreparedFeatures(table_of(tmp_path), cache=cache, check=True).skipped


def test_unchecked_files_and_a_memory_that_cannot_be_written(tmp_path, caplog):
    (tmp_path / "file").touch()
    table = table_of(tmp_path, audio=spoilt(AUDIO, 0))
    assert not PreparedFeatures(table, cache=tmp_path / "c", check=False).skipped
    assert not (tmp_path / "c").exists()
    assert list(PreparedFeatures(table, cache=tmp_path / "file", max_bad=0.5).skipped) == ["c1"]
    assert "is not remembered" in caplog.text


def test_a_damaged_part_of_a_file_costs_its_rows(tmp_path):
    table = table_of(tmp_path)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        data = file.create_dataset("data", data=VISUAL, chunks=(1, *VISUAL.shape[1:]), fletcher32=True)
        info = data.id.get_chunk_info(4)
    with (tmp_path / "v.h5").open("r+b") as file:
        file.seek(info.byte_offset + 8)
        file.write(b"\xff\xff")
    with pytest.raises(DataError, match=r"row 4, the visual features of clip 'c4', is damaged"):
        PreparedFeatures(table, cache=tmp_path, check=False).split("val").batch([0, 1])
    prepared = PreparedFeatures(table, cache=tmp_path, max_bad=0.2)
    assert list(prepared.skipped) == ["c4"] and "damaged" in prepared.skipped["c4"]


def test_a_clip_without_a_row(tmp_path):
    table = table_of(tmp_path, order=[*ORDER[:-1], 12])
    assert isinstance(table.features.rows["audio"], dict)
    del table.features.rows["audio"]["c3"]
    prepared = PreparedFeatures(table, cache=tmp_path, max_bad=0.2)
    assert prepared.skipped == {"c3": "it has no audio features", "c11": "a.h5 has 12 rows, so none for this clip"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda root: (root / "v.h5").unlink(), r"v\.h5: the file is missing"),
        (lambda root: (root / "v.h5").write_bytes(b""), "the file is empty"),
        (lambda root: (root / "v.h5").write_text("hello\n" * 99), "no HDF5 file, or a damaged one"),
        (lambda root: (root / "v.h5").write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
        (lambda root: cut(root / "v.h5"), "not complete, its end is missing"),
        (lambda root: cut(root / "v.h5", 0.0003), "no HDF5 file, or a damaged one"),
        (lambda root: write(root / "v.h5", dat=VISUAL), r"no dataset 'data'\. Did you mean 'dat'\?"),
        (lambda root: write(root / "v.h5", data=VISUAL.astype(int)), "holds int64; features must be floating-point"),
        (lambda root: write(root / "v.h5", data=VISUAL[:, :, 0, 0]), r"\(12, 10, 4\).*\(clips, T, H, W, D\)"),
        (lambda root: write(root / "v.h5", data=VISUAL[:, :, :, :0]), r"shape \(12, 10, 2, 0, 4\)"),
        (lambda root: write(root / "v.h5", data=VISUAL[:, :9]), r"differ in segments.*audio 10 .*visual 9"),
        (lambda root: write(root / "a.h5", data=AUDIO[..., None]), r"audio features must be \(clips, T, D\)"),
    ],
)
def test_files_that_do_not_fit(tmp_path, change, why):
    table = table_of(tmp_path)
    change(tmp_path)
    with pytest.raises(DataError, match=why):
        PreparedFeatures(table, cache=tmp_path / "cache")


def test_a_folder_in_the_place_of_a_file(tmp_path):
    table = table_of(tmp_path)
    (tmp_path / "a.h5").unlink()
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(DataError, match="it is a folder"):
        PreparedFeatures(table, cache=tmp_path / "cache")


def test_files_of_one_modality_must_agree(tmp_path):
    table = table_of(tmp_path)
    rows = table.features.rows["audio"]
    rows["c1"] = FeatureRow(write(tmp_path / "other.h5", data=AUDIO[:, :, :2]), "data", 0)
    with pytest.raises(
        DataError, match=r"other\.h5: a row of 'data' has the shape \(10, 2\), in other files \(10, 3\)"
    ):
        PreparedFeatures(table, cache=tmp_path)
    rows["c1"] = FeatureRow(write(tmp_path / "other.h5", data=100 + AUDIO), "data", 3)
    batch = PreparedFeatures(table, cache=tmp_path).split("train").batch([1, 0])
    assert torch.equal(batch["audio"], torch.from_numpy(np.stack([100 + AUDIO[3], AUDIO[7]])))


def test_tables_that_are_not_of_features(tmp_path):
    table = table_of(tmp_path)
    for features, events in ((None, table.events), (table.features, None)):
        wrong = ClipTable("tiny", table.classes, table.clips, table.media, events=events, features=features)
        with pytest.raises(DataError, match="not a table of features with events"):
            PreparedFeatures(wrong)
    with pytest.raises(DataError, match="no modality is called 'sight'"):
        _ = Features({"sight": table.features.rows["visual"]}).dims
    with pytest.raises(DataError, match="no rows"):
        _ = Features({}).segments


def test_a_class_or_split_that_is_missing_altogether_is_told(tmp_path):
    table = table_of(tmp_path)
    rows = table.features.rows["audio"]
    for clip in ("c1", "c3"):
        del rows[clip]
    with pytest.raises(DataError, match="no clip of class 'cat' in training"):
        PreparedFeatures(table, cache=tmp_path, max_bad=0.9)
    for clip in ("c0", "c2"):
        del rows[clip]
    with pytest.raises(DataError, match="no clip of the train split"):
        PreparedFeatures(table, cache=tmp_path, max_bad=0.9)
