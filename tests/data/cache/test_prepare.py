import contextlib
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import fake_readers
from counterpoint.data import Clip, ClipTable, children, collate, prepare
from counterpoint.data.cache import decode_worker
from counterpoint.data.cache import shards as shards_module
from counterpoint.errors import ConfigError, CounterpointError, DataError
from counterpoint.media.spec import MediaSpec
from face_tables import face_table
from gigantic import make_all
from made_clips import pcm_file, video_file

HERE = [str(Path(__file__).parent), str(Path(fake_readers.__file__).parent)]
prepare_module = importlib.import_module("counterpoint.data.cache.prepare")  # the name in the package is the function

SPEC = MediaSpec(sample_rate=1000, seconds=0.2, fps=10, size=4)


@pytest.fixture(autouse=True)
def obedient(monkeypatch):
    monkeypatch.setattr(decode_worker, "READER", "fake_readers:obedient")


@pytest.fixture
def reads(monkeypatch):
    """How often each clip was opened, for jobs=0."""
    counts = Counter()
    real = fake_readers.obedient

    def counting(path, *args, **kwargs):
        counts[str(path)] += 1
        return real(path, *args, **kwargs)

    monkeypatch.setattr(fake_readers, "obedient", counting)
    return counts


def make_table(root, orders, *, name="toy", rejected=None, classes=("a", "b")):
    root.mkdir(exist_ok=True)
    clips = []
    for k, order in enumerate(orders):
        path = root / f"{k:03}.mp4"
        if not path.exists() or path.read_text() != str(order):
            path.write_text(str(order))
        side = ("train", "train", "val", "test")[k // len(classes) % 4]
        clips.append(Clip(f"c{k}", path, k % len(classes), side))
    return ClipTable(name, classes, tuple(clips), SPEC, rejected=rejected or {})


def numbers(prepared):
    """Clip id -> the number that its arrays are filled with, checked in all of them."""
    found = {}
    for split in ("train", "val", "test"):
        data = prepared.split(split)
        for k, clip in enumerate(data.clips):
            item = data[k]
            assert item["audio"].dtype == torch.int16 and item["audio"].shape == (200,)
            assert item["visual"].dtype == torch.uint8 and item["visual"].shape == (2, 4, 4, 1)
            assert item["target"].item() == clip.label and item["index"].item() == k
            values = set(item["audio"].tolist())
            assert len(values) == 1 and set(item["visual"].flatten().tolist()) == {v % 256 for v in values}
            found[clip.id] = values.pop()
    return found


@pytest.mark.parametrize("jobs", [0, 1, 2])
def test_every_clip_arrives_in_its_place(tmp_path, jobs):
    prepared = prepare(make_table(tmp_path / "d", range(40)), cache=tmp_path / "c", jobs=jobs)
    assert numbers(prepared) == {f"c{k}": k for k in range(40)}
    assert prepared.decoded == 40 and not prepared.skipped


def test_second_run_and_second_task_decode_nothing(tmp_path, reads):
    table = make_table(tmp_path / "d", [*range(31), "bad"])
    first = prepare(table, cache=tmp_path / "c", jobs=0)
    assert set(reads.values()) == {1} and len(reads) == 32
    again = prepare(table, cache=tmp_path / "c", jobs=0)
    other_task = ClipTable("toy/b", ("x",), tuple(replace(c, id=f"x{c.id}", label=0) for c in table.clips), SPEC)
    other = prepare(other_task, cache=tmp_path / "c", jobs=0)
    assert set(reads.values()) == {1}  # the bad one included
    assert (first.decoded, again.decoded, other.decoded) == (32, 0, 0)
    assert again.skipped == first.skipped == {"c31": "has no sound"}
    assert other.skipped == {"xc31": "has no sound"}
    assert numbers(again) == numbers(first)


def test_what_changed_is_decoded_anew(tmp_path, reads):
    table = make_table(tmp_path / "d", [*range(31), "bad"])
    prepare(table, cache=tmp_path / "c", jobs=0)
    table.clips[3].path.write_text("300")
    table.clips[31].path.write_text("31")
    changed = prepare(table, cache=tmp_path / "c", jobs=0)
    assert changed.decoded == 2 and not changed.skipped
    assert numbers(changed) == {f"c{k}": k if k != 3 else 300 for k in range(32)}
    moved = replace(table, clips=tuple(replace(c, start=0.5, end=0.6) if c.id == "c0" else c for c in table.clips))
    assert prepare(moved, cache=tmp_path / "c", jobs=0).decoded == 1
    assert prepare(table, replace(SPEC, seconds=0.3), cache=tmp_path / "c", jobs=0).decoded == 32
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 0


def test_one_modality_is_served_from_both_but_not_the_other_way(tmp_path):
    table = make_table(tmp_path / "d", range(16))
    assert prepare(table, cache=tmp_path / "c", jobs=0, modalities=["audio"]).decoded == 16
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 16
    assert prepare(table, cache=tmp_path / "c", jobs=0, modalities=["visual"]).decoded == 0
    item = prepare(table, cache=tmp_path / "c", jobs=0, modalities=["visual"]).split("train")[0]
    assert set(item) == {"visual", "target", "index"}


def test_stretches_of_one_file_and_equal_stretches(tmp_path, reads):
    table = make_table(tmp_path / "d", range(8))
    path = table.clips[0].path
    stretches = tuple(
        Clip(f"s{k}", path, k % 2, ("train", "val", "test")[k // 2 % 3], start=(k // 2) * 0.1, end=0.9)
        for k in range(12)
    )
    prepared = prepare(replace(table, clips=stretches), cache=tmp_path / "c", jobs=0)
    assert reads == {str(path): 6}  # two clips of each stretch
    assert [i["audio"][0].item() for i in prepared.split("test")] == [200, 200, 500, 500]


def test_damaged_clips_cost_only_themselves(tmp_path):
    orders = [*range(32)]
    for place, order in (
        (2, "bad"),
        (5, "crash"),
        (9, "killed"),
        (13, "exit"),
        (17, "hang"),
        (21, "bug"),
        (25, "shape"),
    ):
        orders[place] = order
    table = make_table(tmp_path / "d", orders)
    began = time.monotonic()
    prepared = prepare(table, cache=tmp_path / "c", jobs=2, timeout=2.0, max_bad=0.5)
    assert time.monotonic() - began < 30
    assert numbers(prepared) == {f"c{k}": order for k, order in enumerate(orders) if isinstance(order, int)}
    reasons = prepared.skipped
    assert reasons["c2"] == "has no sound"
    assert "SIGSEGV" in reasons["c5"] and "invalid pointer" in reasons["c5"]
    assert "SIGKILL" in reasons["c9"]
    assert "exit status 3" in reasons["c13"]
    assert "longer than 2 s" in reasons["c17"]
    assert "ZeroDivisionError: oops" in reasons["c21"]
    assert "its audio was read as" in reasons["c25"]
    # What lies in the file is remembered; what another try might mend is tried again.
    table.clips[17].path.write_text("17")
    again = prepare(table, cache=tmp_path / "c", jobs=2, timeout=2.0, max_bad=0.5)
    assert again.decoded == 5 and again.skipped.keys() == reasons.keys() - {"c17"}


def test_files_that_are_no_media_are_never_opened(tmp_path, reads):
    table = make_table(tmp_path / "d", range(24), rejected={"old": "no word timing"})
    table.clips[0].path.unlink()
    table.clips[1].path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    table.clips[8].path.write_text("")
    table.clips[9].path.unlink()
    table.clips[9].path.mkdir()
    clips = (*table.clips, Clip("nul", table.clips[0].path.with_name("a\0b"), 0, "train"))
    prepared = prepare(replace(table, clips=clips), cache=tmp_path / "c", jobs=0, max_bad=0.3)
    assert prepared.skipped.pop("nul").startswith("the file cannot be opened")
    assert prepared.skipped == {
        "old": "no word timing",
        "c0": "the file is missing",
        "c1": "it is a Git LFS pointer, not the file itself; run `git lfs pull`",
        "c8": "the file is empty",
        "c9": "it is a folder, not a file",
    }
    assert len(reads) == 20 == prepared.decoded


def test_too_many_bad_clips_are_refused_with_the_reasons(tmp_path):
    table = make_table(tmp_path / "d", [*range(17), "bad", "bad", "bug"], rejected={"r": "no timing"})
    with pytest.raises(DataError) as caught:
        prepare(table, cache=tmp_path / "c", jobs=0, max_bad=0.1)
    for part in (
        "toy: 4 of 21 clips (19.0%)",
        "max_bad = 10.0%",
        "2 x has no sound",
        "c17: has no sound",
        "r: no timing",
    ):
        assert part in str(caught.value)
    assert len(prepare(table, cache=tmp_path / "c", jobs=0, max_bad=0.2).skipped) == 4
    with pytest.raises(DataError, match=r"4 of 4 clips \(100\.0%\) cannot be used, none is left\. Most often"):
        prepare(make_table(tmp_path / "e", ["bad"] * 4), cache=tmp_path / "c", jobs=0, max_bad=1.0)


def test_a_lost_class_or_split_is_refused(tmp_path):
    orders = ["bad" if k % 2 and k // 2 % 4 in (0, 1) else k for k in range(16)]
    with pytest.raises(DataError, match="no clip of class 'b' in training"):
        prepare(make_table(tmp_path / "d", orders), cache=tmp_path / "c", jobs=0, max_bad=0.9)
    orders = ["bad" if k // 2 % 4 == 2 else k for k in range(16)]
    with pytest.raises(DataError, match="no clip of the val split"):
        prepare(make_table(tmp_path / "e", orders), cache=tmp_path / "c", jobs=0, max_bad=0.9)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path, reads):
    table = make_table(tmp_path / "d", range(40))

    def interrupt(done, total):
        if done == 15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(table, cache=tmp_path / "c", jobs=0, progress=interrupt)
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 25
    assert set(reads.values()) == {1}
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        prepare(make_table(tmp_path / "e", range(40)), cache=tmp_path / "c", jobs=2, progress=interrupt)
    assert threading.active_count() == before  # no thread or process is left
    assert prepare(make_table(tmp_path / "e", range(40)), cache=tmp_path / "c", jobs=2).decoded <= 25


def test_progress_counts_what_is_decoded(tmp_path):
    seen = []
    table = make_table(tmp_path / "d", [*range(19), "bad"])
    prepare(table, cache=tmp_path / "c", jobs=2, progress=lambda *step: seen.append(step))
    assert seen == [(k, 20) for k in range(21)]
    prepare(table, cache=tmp_path / "c", progress=lambda *step: pytest.fail("nothing is decoded"))


def test_several_shards_and_a_killed_writers_remains(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "SHARD_BYTES", 5 * shards_module.clip_bytes(SPEC, ("audio", "visual")))
    prepared = prepare(make_table(tmp_path / "d", range(32)), cache=tmp_path / "c", jobs=2)
    (folder,) = (tmp_path / "c" / "shards").iterdir()
    assert len(list(folder.glob("*.json"))) == 7
    (folder / "dead.audio.npy").write_bytes(b"\x93NUMPY half")
    (folder / "dead.tmp").write_text("{")
    assert numbers(prepared) == numbers(prepare(make_table(tmp_path / "d", range(32)), cache=tmp_path / "c"))
    prepare(make_table(tmp_path / "e", range(8)), cache=tmp_path / "c", jobs=0)
    assert not list(folder.glob("dead*"))


def flip(path, at, bits=1):
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


def swap_rows(index):
    content = json.loads(index.read_text())
    content["clips"][:2] = content["clips"][1::-1]
    index.write_text(json.dumps(content))


DAMAGES = {
    "cut": lambda index, audio: audio.write_bytes(audio.read_bytes()[:-10]),
    "longer": lambda index, audio: audio.write_bytes(audio.read_bytes() + b"0"),
    "gone": lambda index, audio: audio.unlink(),
    "bit of sound": lambda index, audio: flip(audio, -7),
    "bit of pictures": lambda index, audio: flip(index.with_suffix(".visual.npy"), -5),
    "bit of a header": lambda index, audio: flip(audio, 60),
    "zeros": lambda index, audio: audio.write_bytes(audio.read_bytes()[:200] + bytes(audio.stat().st_size - 200)),
    "index cut": lambda index, audio: index.write_text('{"format": 2, "cl'),
    "index of another kind": lambda index, audio: index.write_text('{"format": 2, "clips": 3}'),
    "rows swapped": lambda index, audio: swap_rows(index),
    "arrays of another shard": lambda index, audio: audio.write_bytes(
        b"".join(each.read_bytes() for each in audio.parent.glob("*.audio.npy") if each != audio)
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shards_are_told_and_decoded_anew(tmp_path, damage, monkeypatch, caplog):
    monkeypatch.setattr(prepare_module, "SHARD_BYTES", 8 * shards_module.clip_bytes(SPEC, ("audio", "visual")))
    table = make_table(tmp_path / "d", range(16))
    prepare(table, cache=tmp_path / "c", jobs=0)
    index, _ = sorted((tmp_path / "c").rglob("*.json"))
    DAMAGES[damage](index, index.with_suffix(".audio.npy"))
    again = prepare(table, cache=tmp_path / "c", jobs=0)
    assert again.decoded == 8 and numbers(again) == {f"c{k}": k for k in range(16)}
    (told,) = caplog.messages
    assert told.startswith(str(index.with_suffix(""))) and told.endswith("and its clips are decoded again")
    assert not list(index.parent.glob(f"{index.stem}*"))  # nobody will read it again


def test_an_index_is_whole_at_no_cut_and_after_no_flip(tmp_path):
    prepare(make_table(tmp_path / "d", [*range(8), "bad"]), cache=tmp_path / "c", jobs=0, max_bad=1.0)
    (path,) = (tmp_path / "c").rglob("*.json")
    whole, found = path.read_bytes(), shards_module._read_index(path)
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        with pytest.raises(DataError, match=str(path)):
            shards_module._read_index(path)
        if at % 5:
            continue
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 7]) + whole[at + 1 :])
        with contextlib.suppress(DataError):
            assert shards_module._read_index(path) == found  # a blank may be another


def test_shards_of_another_format_are_left_alone(tmp_path, caplog):
    table = make_table(tmp_path / "d", range(16))
    prepare(table, cache=tmp_path / "c", jobs=0)
    (index,) = (tmp_path / "c").rglob("*.json")
    shards_module._write_index(index, {"format": 3, "rows": []}, {})
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 16
    assert index.exists() and not caplog.messages


@pytest.mark.parametrize("lacks", ["checksum", "checksums", "facts"])
def test_an_index_that_lacks_something_is_damaged(lacks, tmp_path, caplog):
    table = make_table(tmp_path / "d", range(16))
    prepare(table, cache=tmp_path / "c", jobs=0)
    (index,) = (tmp_path / "c").rglob("*.json")
    content = json.loads(index.read_text())
    del content[lacks]
    index.write_text(json.dumps(content))
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 16
    assert [str(index) in message for message in caplog.messages] == [True]


def test_a_shard_is_read_through_once_in_a_process(tmp_path):
    table = make_table(tmp_path / "d", range(16))
    prepare(table, cache=tmp_path / "c", jobs=0)
    before = shards_module._sum_once.cache_info().misses
    for _ in range(3):
        data = prepare(table, cache=tmp_path / "c", jobs=0).split("train")
        assert len(data.batch(range(len(data)))["audio"]) == len(data)
    assert shards_module._sum_once.cache_info().misses == before + 2  # sound and pictures


def test_who_has_to_wait_for_another_process_says_so(tmp_path, caplog):
    table = make_table(tmp_path / "d", range(16))
    store = shards_module.ShardFolder(tmp_path / "c", SPEC)
    with store.lock() as held:
        assert held
        other = threading.Thread(target=prepare, args=(table,), kwargs={"cache": tmp_path / "c", "jobs": 0})
        other.start()
        deadline = time.monotonic() + 30
        while not caplog.messages and time.monotonic() < deadline:
            time.sleep(0.01)
        assert str(store.folder) in caplog.messages[0] and "is in use by process" in caplog.messages[0]
        assert not list(store.folder.glob("*.json"))
    other.join(30)
    assert len(list(store.folder.glob("*.json"))) == 1


def test_a_cache_removed_under_a_run_is_said(tmp_path):
    data = prepare(make_table(tmp_path / "d", range(16)), cache=tmp_path / "c", jobs=0).split("train")
    for path in (tmp_path / "c").rglob("*.npy"):
        path.unlink()
    with pytest.raises(DataError, match="prepare the data again"):
        data[0]


def test_bad_clips_are_tried_again_by_another_decoder(tmp_path, monkeypatch):
    table = make_table(tmp_path / "d", [*range(31), "bad"])
    prepare(table, cache=tmp_path / "c", jobs=0)
    monkeypatch.setattr(shards_module, "decoder_version", lambda: "PyAV 99")
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 1


def test_two_processes_at_once_do_the_work_once(tmp_path):
    make_table(tmp_path / "d", range(48))
    code = f"""
import sys; sys.path[:0] = {HERE!r}
from pathlib import Path
from counterpoint.data import decode_worker, prepare
import test_prepare as t
decode_worker.READER = "fake_readers:obedient"
p = prepare(t.make_table(Path({str(tmp_path / "d")!r}), range(48)), cache={str(tmp_path / "c")!r}, jobs=1)
assert t.numbers(p) == {{f"c{{k}}": k for k in range(48)}}
print(p.decoded)
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    decoded = [int(run.communicate(timeout=120)[0]) for run in runs]
    assert sorted(decoded) == [0, 48]


def test_ctrl_c_ends_the_whole_family(tmp_path):
    make_table(tmp_path / "d", [*range(20), *["hang"] * 4])
    code = f"""
import sys; sys.path[:0] = {HERE!r}
from pathlib import Path
from counterpoint.data import decode_worker, prepare
import test_prepare as t
decode_worker.READER = "fake_readers:obedient"
table = t.make_table(Path({str(tmp_path / "d")!r}), [*range(20), *["hang"] * 4])
prepare(table, cache={str(tmp_path / "c")!r}, jobs=2, progress=lambda done, total: print(done, flush=True))
"""
    run = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while run.stdout.readline().strip() != "20":
        assert run.poll() is None
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=20)  # waits for every process that holds the pipe
    assert "KeyboardInterrupt" in errors
    assert prepare(make_table(tmp_path / "d", range(20)), cache=tmp_path / "c", jobs=0).decoded == 0


def test_a_process_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(decode_worker, "READER", "no_such_module:read")
    with pytest.raises(CounterpointError, match="could not be started.*no_such_module"):
        prepare(make_table(tmp_path / "d", range(16)), cache=tmp_path / "c", jobs=2)


def test_unwritable_and_full_caches_are_said(tmp_path, monkeypatch):
    table = make_table(tmp_path / "d", range(8))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(
        importlib.import_module("counterpoint.data.cache.prepare"), "decode_all", lambda *a, **k: pytest.fail("decodes")
    )
    for cache in (tmp_path / "file", "/proc/nothing/grows/here"):  # of which /proc says that it has no room, too
        with pytest.raises(DataError, match="Cannot write decoded clips to .*: .*Name another folder"):
            prepare(table, cache=cache, jobs=0)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 100})())
    with pytest.raises(DataError, match="Make room"):
        prepare(table, cache=tmp_path / "c", jobs=0)


def test_options_out_of_range(tmp_path):
    table = make_table(tmp_path / "d", range(8))
    for options in ({"max_bad": 1.5}, {"jobs": -1}, {"timeout": 0}, {"modalities": []}, {"modalities": "audio"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            prepare(table, cache=tmp_path / "c", **options)
    with pytest.raises(ConfigError, match="Did you mean 'audio'"):
        prepare(table, cache=tmp_path / "c", modalities=["audoi"])


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(prepare_module, "SHARD_BYTES", 7 * shards_module.clip_bytes(SPEC, ("audio", "visual")))
    return prepare(make_table(tmp_path / "d", range(64)), cache=tmp_path / "c", jobs=0).split("train")


def test_batches_hold_what_items_hold(data):
    order = [5, 0, 31, 5, 17, 2]
    batch = data.batch(order)
    for k, index in enumerate(order):
        item = data[index]
        assert all(torch.equal(item[name], batch[name][k]) for name in item)
    assert torch.equal(data.batch(torch.tensor(order))["audio"], batch["audio"])
    assert torch.equal(data[-1]["audio"], data[31]["audio"]) and data[-1]["index"] == 31
    assert data.targets.tolist() == [c.label for c in data.clips]
    with pytest.raises(IndexError):
        data[32]
    assert len(list(data)) == 32


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("own_collate", [True, False])
def test_loaders(data, workers, own_collate):
    loader = DataLoader(
        data, batch_size=10, shuffle=True, num_workers=workers, collate_fn=collate if own_collate else None
    )
    for _ in range(2):
        seen = torch.cat([batch["index"] for batch in loader])
        assert sorted(seen.tolist()) == list(range(32))
    for batch in loader:
        assert torch.equal(batch["audio"], data.batch(batch["index"])["audio"])
        assert torch.equal(batch["target"], data.targets[batch["index"]])


def test_collate_takes_plain_items(data):
    assert torch.equal(collate([data[3], data[1]])["audio"], data.batch([3, 1])["audio"])


def test_datasets_travel_without_their_open_shards(data):
    expected = data.batch(range(32))
    travelled = pickle.dumps(data)
    assert len(travelled) < 40_000
    copy = pickle.loads(travelled)
    assert torch.equal(copy.batch(range(32))["visual"], expected["visual"])


def test_what_is_read_may_be_written_to(data):
    data[0]["audio"].fill_(7)
    assert data[0]["audio"].unique().tolist() != [7]
    assert isinstance(data.batch(np.arange(3))["audio"], torch.Tensor)


def test_fields_added_to_the_spec_leave_older_caches_where_they_are(tmp_path):
    """The folder of a spec that uses none of them is named as the first version of the format named it."""
    assert shards_module.ShardFolder(tmp_path, MediaSpec()).folder.name == "16000hz-3s-25fps-64px-519e560a19"
    others = [MediaSpec(), MediaSpec(frames=75), MediaSpec(audio_start=0.1), MediaSpec(face_margin=0.1)]
    others.append(MediaSpec(audio_seconds=3.0))
    assert len({shards_module.ShardFolder(tmp_path, spec).folder for spec in others}) == len(others)


# ---- clips of several files


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setattr(decode_worker, "READER", "counterpoint.media.decode:read_clip")


FACE = (8.0, 8.0, 24.0, 24.0)
MEDIA = MediaSpec(sample_rate=8000, seconds=0.4, fps=10, size=8)


def several_files(root, count=16):
    """Each clip a video without sound, its sound in a file of its own, and the landmarks of a white face on black."""
    root.mkdir()
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[:, 8:24, 8:24] = 255
    clips = []
    for k in range(count):
        video = video_file(root / f"{k}.mp4", frames, fps=10)
        sound = pcm_file(root / f"{k}.wav", np.full((1, 3200), k / 40), rate=8000)
        table = face_table(root / f"{k}.csv", [FACE] * 4, fps=10)
        side = ("train", "train", "val", "test")[k % 4]
        clips.append(Clip(f"c{k}", video, 0, side, audio=sound, landmarks=table))
    return ClipTable("several", ("a",), tuple(clips), MEDIA)


def seen_and_heard(prepared):
    found = {}
    for split in ("train", "val", "test"):
        data = prepared.split(split)
        for k, clip in enumerate(data.clips):
            found[clip.id] = round(data[k]["audio"].double().mean().item() / 32767 * 40)
            assert data[k]["visual"][:, 1:-1, 1:-1].min() > 200  # nothing but the face
    return found


@pytest.mark.usefixtures("real")
def test_sound_and_landmarks_beside_a_clip_are_used_and_watched(tmp_path):
    table = several_files(tmp_path / "d")
    first = prepare(table, cache=tmp_path / "c", jobs=0)
    assert first.decoded == 16 and seen_and_heard(first) == {f"c{k}": k for k in range(16)}
    assert prepare(table, cache=tmp_path / "c", jobs=0).decoded == 0
    assert prepare(table, cache=tmp_path / "c", jobs=0, modalities=["visual"]).decoded == 0
    pcm_file(tmp_path / "d" / "3.wav", np.full((1, 3200), 30 / 40), rate=8000)
    with (tmp_path / "d" / "4.csv").open("a") as file:
        file.write("\n")
    changed = prepare(table, cache=tmp_path / "c", jobs=0)
    assert changed.decoded == 2 and seen_and_heard(changed)["c3"] == 30
    clips = list(table.clips)
    clips[5] = replace(clips[5], landmarks_size=(32, 32))
    clips[6] = replace(clips[6], landmarks=None)
    assert prepare(replace(table, clips=tuple(clips)), cache=tmp_path / "c", jobs=0).decoded == 2


@pytest.mark.usefixtures("real")
@pytest.mark.parametrize("jobs", [0, 1])
def test_a_clip_that_lacks_one_of_its_files_is_set_aside_with_its_reason(tmp_path, jobs):
    table = several_files(tmp_path / "d")
    root = tmp_path / "d"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (root / "0.wav").unlink()
    (root / "1.csv").unlink()
    (root / "2.wav").write_text(pointer)
    (root / "3.csv").write_text(pointer)
    (root / "4.mp4").write_text(pointer)
    (root / "5.wav").write_bytes(b"")
    (root / "6.csv").write_text("timestamp,x_0,y_0\n0,1\n")
    (root / "7.wav").write_bytes((root / "7.mp4").read_bytes())
    face_table(root / "8.csv", [(50, 50, 60, 60)] * 4)
    face_table(root / "9.csv", [None] * 4)
    clips = list(table.clips)
    clips[10] = replace(clips[10], audio=None)
    table = replace(table, clips=tuple(clips))
    lfs = "it is a Git LFS pointer, not the file itself; run `git lfs pull`"
    seen = {
        "c1": "its landmarks 1.csv: the file is missing",
        "c3": f"its landmarks 3.csv: {lfs}",
        "c4": lfs,
        "c6": "6.csv: line 2 has 2 cells, the first line has 3",
        "c8": "8.csv: the face lies outside the picture of 32 x 32 pixels; the landmarks are of another video, or "
        "of one of another size (landmarks_size)",
        "c9": "9.csv: no frame of it has a face",
    }
    heard = {
        "c0": "its sound 0.wav: the file is missing",
        "c2": f"its sound 2.wav: {lfs}",
        "c5": "its sound 5.wav: the file is empty",
        "c7": "7.wav: has no sound",
        "c10": "has no sound",
    }
    for modalities, reasons in ((["audio"], heard), (["visual"], seen), (["audio", "visual"], {**seen, **heard})):
        for _ in range(2):  # what is known to be unreadable is told again
            prepared = prepare(table, cache=tmp_path / "c", jobs=jobs, max_bad=0.8, modalities=modalities)
            assert prepared.skipped == reasons
        assert prepared.decoded == 0


def test_keys_of_one_file_are_stored_as_before():
    plain = shards_module.Key("a.mp4", 10, 20, 0.5, None)
    assert plain.as_row() == ["a.mp4", 10, 20, 0.5, None]
    full = plain._replace(
        audio=shards_module.File("a.wav", 1, 2), landmarks=shards_module.File("a.csv", -1, 0), landmarks_size=(4, 3)
    )
    for key in (plain, full, full._replace(audio=None), full._replace(landmarks=None, landmarks_size=None)):
        assert shards_module.Key.of_row(json.loads(json.dumps(key.as_row()))) == key


@pytest.mark.parametrize("size", [(0, 10), (1280,), "1280x720", (1280.0, 720)])
def test_a_clip_refuses_a_wrong_size_of_its_landmarks(size):
    with pytest.raises(DataError, match=r"'c': landmarks_size is .*; it must be \(width, height\)"):
        Clip("c", Path("a.mp4"), 0, "train", landmarks=Path("a.csv"), landmarks_size=size)
    with pytest.raises(DataError, match="but no landmarks"):
        Clip("c", Path("a.mp4"), 0, "train", landmarks_size=(4, 3))


def test_headers_that_declare_too_much_cost_neither_memory_nor_time(tmp_path):
    files = make_all(tmp_path)
    child = children.start("gigantic", *map(str, files), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    *reasons, most = child.communicate(timeout=60)[0].splitlines()
    assert len(reasons) == 2 * len(files) and child.returncode == 0
    assert all("\\n" not in reason and len(reason) < 300 for reason in reasons)
    assert reasons[:4].count("''") == 0, reasons  # of pictures that are too large there is nothing
    assert int(most) < 700_000, f"{most} KiB"


def test_a_decoder_that_asks_for_too_much_memory_is_told_that_there_is_none(tmp_path):
    table = make_table(tmp_path / "d", [*range(31), "greedy"])
    prepared = prepare(table, cache=tmp_path / "c", jobs=1)
    assert prepared.skipped == {"c31": "there was not enough memory to read it"}
