"""The folder of features: written clip by clip, interrupted anywhere, read back as the dataset `features`."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.events import Event
from counterpoint.data.features.writer import FeatureWriter
from counterpoint.errors import DataError, InUseError
from counterpoint.media.spec import MediaSpec

NAMES = ("a", "b", "c", "d", "e")
MADE_BY = {"audio": "vggish (x.pth)", "visual": "vgg19 (y.pth)"}


def table(**changes) -> ClipTable:
    clips = tuple(
        Clip(name, Path(f"{name}.mp4"), k % 3, ("train", "val", "test")[k % 3], f"speaker {k % 2}")
        for k, name in enumerate(NAMES)
    )
    events = {"a": (Event(0, 0.5, 1.25),), "b": (Event(1, 0.0, 2.0),), "d": (Event(0, 0.0, 1.0), Event(1, 1.0, 2.0))}
    return ClipTable(
        **{
            "name": "made/up",
            "classes": ("dog", "cat"),
            "clips": clips,
            "media": MediaSpec(),
            "events": events,
            **changes,
        }
    )


def writer(folder, listed=None, *, seconds=2.0, overwrite=False, **setting):
    listed = listed or table()
    return FeatureWriter(folder, listed, seconds, MADE_BY, {"segments": 4, **setting}, overwrite=overwrite)


def features(name: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(ord(name))
    return {"audio": rng.random((4, 3), np.float32), "visual": rng.random((4, 2, 2, 5), np.float32)}


def read(folder) -> dict[str, np.ndarray]:
    with h5py.File(folder / "features.h5") as file:
        return {name: data[()] for name, data in file.items()}


def assert_rows(folder, names) -> None:
    found = read(folder)
    for modality in ("audio", "visual"):
        np.testing.assert_array_equal(found[modality], [features(name)[modality] for name in names])


def test_written_in_any_order_it_is_read_in_that_of_the_table(tmp_path):
    folder = tmp_path / "made"
    with writer(folder) as out:
        assert [clip.id for clip in out.pending] == list(NAMES)
        for name in reversed(NAMES):
            assert not (folder / "features.h5").exists()
            out.write(name, features(name))
        out.finish()
    assert_rows(folder, NAMES)
    assert sorted(path.name for path in folder.iterdir()) == ["clips.csv", "events.csv", "features.h5", "skipped.csv"]
    assert (folder / "clips.csv").read_text() == (
        "clip,class,seconds,split,group\na,dog,2,train,speaker 0\nb,cat,2,val,speaker 1\nc,,2,test,speaker 0\n"
        "d,dog,2,train,speaker 1\ne,cat,2,val,speaker 0\n"
    )
    assert (folder / "events.csv").read_text() == (
        "clip,start,end,class\na,0.5,1.25,dog\nb,0,2,cat\nd,0,1,dog\nd,1,2,cat\n"
    )
    with h5py.File(folder / "features.h5") as file:
        assert file.attrs["encoders"] == '{"audio": "vggish (x.pth)", "visual": "vgg19 (y.pth)"}'


def test_clips_set_aside_leave_no_row(tmp_path):
    listed = table(rejected={"e": "not to be trusted", "gone": "never listed"}, events=None)
    with writer(tmp_path, listed) as out:
        assert [clip.id for clip in out.pending] == ["a", "b", "c", "d"]
        for name in "abd":
            out.write(name, features(name))
        out.skipped("c", "it is\n damaged, sadly")
        out.finish()
    assert_rows(tmp_path, "abd")
    assert not (tmp_path / "events.csv").exists()
    assert [line.split(",")[0] for line in (tmp_path / "clips.csv").read_text().splitlines()] == ["clip", "a", "b", "d"]
    assert sorted((tmp_path / "skipped.csv").read_text().splitlines()[1:]) == [
        'c,"it is damaged, sadly"',
        "e,not to be trusted",
        "gone,never listed",
    ]
    with writer(tmp_path, listed) as again:
        assert again.finished and not again.pending
        assert {clip: bool(reason) for clip, reason in again.done.items()}["c"]


@pytest.mark.parametrize("written", range(len(NAMES) + 1))
def test_a_kill_at_any_clip_loses_nothing_that_is_written(tmp_path, written):
    folder, copy = tmp_path / "made", tmp_path / "copy"
    out = writer(folder)
    for name in NAMES[:written]:
        out.write(name, features(name))
    if 0 < written < len(NAMES):  # half of the next row, of which nobody was told
        out._file["audio"][written] = 9
    shutil.copytree(folder, copy)  # as a process leaves it that is killed: nothing is closed
    if written:
        with (copy / "unfinished.csv").open("a") as journal:
            journal.write("half of a li")
    with writer(copy) as again:
        assert [clip.id for clip in again.pending] == list(NAMES[written:])
        for clip in again.pending:
            again.write(clip.id, features(clip.id))
        again.finish()
    assert_rows(copy, NAMES)


def test_another_setting_other_clips_and_other_things_are_refused(tmp_path):
    with writer(tmp_path / "made", precision={"audio": "32-true"}) as out:
        out.write("a", features("a"))
    for other, message in (
        ({"precision": {"audio": "bf16-mixed"}}, "precision.audio was '32-true' and is now 'bf16-mixed'"),
        ({"precision": {"audio": "32-true"}, "seconds": 3.0}, "seconds was 2.0 and is now 3.0"),
        ({"precision": {"audio": "32-true"}, "listed": table(clips=table().clips[:3])}, "the clips are others"),
    ):
        with pytest.raises(DataError, match=message):
            writer(tmp_path / "made", **other)
    with writer(tmp_path / "made", overwrite=True) as out:
        assert len(out.pending) == len(NAMES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="holds something else"):
        writer(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


def test_a_damaged_file_and_a_full_disk_are_told(tmp_path, monkeypatch):
    with writer(tmp_path) as out:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
        with pytest.raises(DataError, match="has 0.0 GB left"):
            out.write("a", features("a"))
    (tmp_path / "unfinished.h5").write_bytes(b"no such thing")
    with pytest.raises(DataError, match="damaged.*--overwrite"):
        writer(tmp_path)


def test_nothing_but_bad_clips_is_no_dataset(tmp_path):
    with writer(tmp_path) as out:
        for name in NAMES:
            out.skipped(name, "it is damaged")
        with pytest.raises(DataError, match="no clip can be used, e.g. a it is damaged"):
            out.finish()


def test_overwriting_removes_only_what_was_written_here(tmp_path):
    clips = tmp_path / "clips"  # a dataset with tables of the same names
    clips.mkdir()
    for name in ("clips.csv", "events.csv", "skipped.csv"):
        (clips / name).write_text(name)
    with pytest.raises(DataError, match="holds something else"):
        writer(clips, overwrite=True)
    assert sorted(path.name for path in clips.iterdir()) == ["clips.csv", "events.csv", "skipped.csv"]
    foreign = tmp_path / "foreign"  # features that an own script has made
    foreign.mkdir()
    with h5py.File(foreign / "features.h5", "w") as file:
        file["audio"] = np.zeros((2, 4, 8), np.float32)
    (foreign / "clips.csv").write_text("clip,class\n")
    with pytest.raises(DataError, match="features.h5 was not made by prepare, and is not removed"):
        writer(foreign, overwrite=True)
    assert (foreign / "clips.csv").read_text() == "clip,class\n"


def test_overwriting_leaves_alone_what_another_process_writes(tmp_path):
    with writer(tmp_path / "made") as out:
        code = (
            "import sys, h5py\n"
            "from pathlib import Path\n"
            "from counterpoint.data.features.writer import FeatureWriter\n"
            "made = FeatureWriter.__new__(FeatureWriter)\n"
            "made.folder = Path(sys.argv[1])\n"
            "made._clear()\n"
        )
        done = subprocess.run([sys.executable, "-c", code, out.folder], capture_output=True, text=True)
        assert "another process writes it" in done.stderr
    assert (tmp_path / "made" / "unfinished.h5").is_file()


def test_two_at_once_in_one_folder(tmp_path):
    """The second is told, and with --overwrite takes nothing away either."""
    with writer(tmp_path / "made") as first, ThreadPoolExecutor() as others:
        first.write(first.pending[0].id, features("a"))
        for overwrite in (False, True):
            with pytest.raises(InUseError, match="made is in use by process"):
                others.submit(writer, tmp_path / "made", overwrite=overwrite).result(60)
        assert (tmp_path / "made" / "unfinished.h5").is_file()
    with writer(tmp_path / "made") as again:
        assert len(again.done) == 1
