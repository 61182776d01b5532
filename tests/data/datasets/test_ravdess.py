import itertools
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import load_table, prepare
from counterpoint.data.datasets.ravdess import read_name
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.media.encode import write_clip

FOLDERS = {"unpacked": "Actor_{}", "zips": "Video_Speech_Actor_{0}/Actor_{0}"}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
TINY = {"sample_rate": 8000, "size": 16, "frames": 4}


def names(actor, modality="01", channel="01"):
    """The 60 spoken recordings of an actor."""
    for emotion, intensity, statement, repetition in itertools.product(range(1, 9), (1, 2), (1, 2), (1, 2)):
        if (emotion, intensity) != (1, 2):
            yield f"{modality}-{channel}-{emotion:02d}-{intensity:02d}-{statement:02d}-{repetition:02d}-{actor:02d}"


def corpus(root, actors=range(1, 25), folder="unpacked"):
    """The official layout; listing opens no video, so that empty files will do."""
    for actor in actors:
        place = root / FOLDERS[folder].format(f"{actor:02d}")
        place.mkdir(parents=True)
        for name in (*names(actor), *itertools.islice(names(actor, "02"), 3)):
            (place / f"{name}.mp4").touch()
    return root


@pytest.fixture(scope="module")
def everyone(tmp_path_factory):
    return corpus(tmp_path_factory.mktemp("ravdess"))


def openface(path, boxes, found=None):
    """Landmarks of a video at 10 frames per second: the 68 points lie on the border of a box per frame, in pixels."""
    columns = ["frame", "face_id", "timestamp", "confidence", "success", "X_0", "eye_lmk_x_0"]
    lines = [", ".join([*columns, *(f"x_{k}" for k in range(68)), *(f"y_{k}" for k in range(68))])]
    steps = np.linspace(0, 1, 68)
    for frame, (left, top, right, bottom) in enumerate(boxes):
        there = int(found is None or found[frame])
        start = [frame + 1, 0, f"{frame / 10:.3f}", 0.98 * there, there, 12.5, 7.5]
        points = [*(left + (right - left) * steps), *(top + (bottom - top) * steps[::-1])] if there else [0.0] * 136
        lines.append(", ".join(str(value) for value in [*start, *points]))
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def record(path, *, seconds=3.2, sound=True):
    """A grey picture of 128 x 72 with a white face that moves to the right; silence, then a tone from 0.5 s on."""
    count = round(10 * seconds)
    frames = np.full((count, 72, 128, 3), 40, np.uint8)
    boxes = []
    for k in range(count):
        left = 16 + 2 * k
        frames[k, 16:48, left : left + 32] = 230
        boxes.append((10 * left + 20, 180, 10 * left + 300, 460))  # inside of the face, in the 1280 x 720 of the corpus
    times = np.arange(round(seconds * 16000)) / 16000
    audio = np.where(times < 0.5, 0, 0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32) if sound else None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path, audio, frames, fps=10, sample_rate=16000)
    return boxes


def test_names_say_what_is_shown():
    said = read_name("01-01-06-01-02-02-12")
    assert list(said.values()) == ["sound and picture", "speech", "fearful", "normal", "dogs", "second", "12", "female"]
    assert read_name("03-02-01-01-01-01-07")["gender"] == "male"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("01-01-09-01-01-01-01", "number 3, the emotion, is 09"),
        ("01-01-01-02-01-01-01", "no strong intensity of neutral"),
        ("01-01-03-01-01-01-25", "the actor, is 25"),
        ("01-01-03-01-01-01", "seven numbers"),
        ("1-1-3-1-1-1-1", "seven numbers"),
        ("01-01-03-01-01-01-00", "the actor, is 00"),
        ("holiday", "seven numbers"),
    ],
)
def test_wrong_names(name, why):
    with pytest.raises(DataError, match=why):
        read_name(name)


@given(st.text() | st.text(alphabet=string.digits + "-\u0663", min_size=18, max_size=22))
def test_any_name_is_a_recording_or_refused(name):
    try:
        said = read_name(name)
    except DataError:
        return
    assert name.isascii() and len(said) == 8 and said["actor"] == name[-2:]


@pytest.mark.parametrize("folder", FOLDERS)
def test_either_layout_is_read(folder, tmp_path):
    table = load_table("ravdess", corpus(tmp_path, range(1, 7), folder))
    assert len(table.clips) == 360 and not table.rejected
    assert any("18 of picture alone" in note for note in table.notes)
    clip = next(c for c in table.clips if c.id == "01-01-05-02-01-01-03")
    assert (table.classes[clip.label], clip.group, clip.split) == ("angry", "03", "test")
    assert clip.path.is_file() and clip.landmarks is None


def test_tasks(everyone):
    for task, (first, count) in {"emotion": (96, 8), "intensity": (768, 2), "gender": (720, 2)}.items():
        table = load_table("ravdess", everyone, task)
        assert table.name == f"ravdess/{task}" and len(table.classes) == count and len(table.clips) == 1440
        assert Counter(c.label for c in table.clips)[0] == first
    assert load_table("ravdess", everyone, "statement").classes == ("kids", "dogs")


@pytest.mark.parametrize(("folds", "count"), [("paper", 5), ("six", 6)])
def test_folds_test_each_actor_once_and_never_two_sides(everyone, folds, count):
    tested = Counter()
    for fold in range(count):
        table = load_table("ravdess", everyone, folds=folds, fold=fold)
        sides = {side: {c.group for c in table.clips if c.split == side} for side in ("train", "val", "test")}
        assert sides["test"] == {f"{n:02d}" for n in range(4 * fold + 1, 4 * fold + 5)}
        assert not sides["train"] & sides["val"] and not table.shared_groups()
        assert sorted(int(actor) % 2 for actor in sides["val"]) == [0, 1]  # a man and a woman
        assert Counter(c.split for c in table.clips) == {"train": 1080, "val": 120, "test": 240}
        tested.update(sides["test"])
        never = [note for note in table.notes if note == "No fold tests the actors 21, 22, 23, 24."]
        assert len(never) == (folds == "paper")
    assert tested == {f"{n:02d}": 1 for n in range(1, 4 * count + 1)}
    with pytest.raises(ConfigError, match=f"0 to {count - 1}"):
        load_table("ravdess", everyone, folds=folds, fold=count)


def test_validation_is_drawn_from_the_seed_and_by_gender(everyone):
    def held_out(**options):
        return {c.group for c in load_table("ravdess", everyone, **options).clips if c.split == "val"}

    assert held_out(seed=1) == held_out(seed=1)
    assert len({frozenset(held_out(seed=seed)) for seed in range(8)}) > 1
    for val, each in ((0.2, 2), (0.01, 1), (0.99, 9)):
        assert Counter(int(actor) % 2 for actor in held_out(val=val)) == {0: each, 1: each}
    assert not held_out(val=0)


def test_wrong_options(everyone):
    for options, why in (
        ({"folds": "papr"}, "Did you mean 'paper'"),
        ({"fold": True}, "fold is True"),
        ({"fold": -1}, "0 to 4"),
        ({"val": 1}, "0 <= val < 1"),
        ({"landmarks": 3}, "landmarks is 3; it must be str"),
        ({"landmark": 1}, r"no option 'landmark'\. Did you mean 'landmarks'"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_table("ravdess", everyone, **options)
    with pytest.raises(DatasetNotFoundError, match="no landmarks .* in nowhere"):
        load_table("ravdess", everyone, landmarks="nowhere")


def test_a_copy_without_the_folds_actors(tmp_path):
    root = corpus(tmp_path, [5, 6, 7])
    with pytest.raises(DataError, match=r"fold 0 tests 01, 02, 03, 04; .*\(05, 06, 07\) none is left for test"):
        load_table("ravdess", root)
    with pytest.raises(DataError, match="none is left for train"):
        load_table("ravdess", root, fold=1)
    corpus(tmp_path, [1, 2])
    notes = load_table("ravdess", root).notes
    assert "Not there, and so not tested: 03, 04." in notes
    with pytest.raises(DataError, match="none is left for val"):
        load_table("ravdess", corpus(tmp_path / "few", [1, 5]))


def test_missing_corpus_says_where_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "Actor_01").mkdir()
    (tmp_path / "Actor_01" / "holiday.mp4").touch()
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DatasetNotFoundError) as caught:
            load_table("ravdess", root)
        for part in (str(root), "1188976", "counterpoint download ravdess", "Actor_01/01-01", "landmarks/"):
            assert part in str(caught.value)
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "moved"))
    with pytest.raises(DatasetNotFoundError, match="moved"):
        load_table("ravdess")


def test_the_papers_shape_of_a_clip(everyone):
    table = load_table("ravdess", everyone)
    media = table.media
    assert (media.num_frames, media.size, media.channels) == (30, 224, 3)
    assert media.sample_rate == 44100 and media.num_samples == 108045 and media.audio_span == (0.5, 2.95)
    left, top, right, bottom = media.crop
    assert (right - left) * 1280 == pytest.approx((bottom - top) * 720)  # nothing is squeezed
    assert any("one fixed square" in note and "approximation" in note for note in table.notes)


def test_each_bad_clip_is_set_aside_with_its_reason(tmp_path):
    """The whole way: four good clips with their faces, and one of each kind of bad one."""
    root = tmp_path / "ravdess"
    good = ["01-01-03-01-01-01-01", "01-01-04-01-01-01-05", "01-01-03-01-01-01-06", "01-01-04-01-01-01-07"]
    good += ["01-01-03-01-01-01-08", "01-01-04-01-01-01-06"]
    bad = {
        "01-01-05-01-01-01-05": "no sound",
        "01-01-05-01-01-02-05": "landmarks",
        "01-01-05-01-02-01-05": "LFS pointer",
        "01-01-05-01-02-02-05": "empty",
        "01-01-05-02-01-01-05": "LFS pointer",
        "01-01-05-02-01-02-05": "01-01-05-02-01-02-05.csv: no ",
    }
    for name in (*good, *bad):
        path = root / f"Actor_{name[-2:]}" / f"{name}.mp4"
        boxes = record(path, sound=bad.get(name) != "no sound")
        openface(root / "landmarks" / f"{name}.csv", boxes)
    of_bad = root / "Actor_05"
    (root / "landmarks" / "01-01-05-01-01-02-05.csv").unlink()
    (of_bad / "01-01-05-01-02-01-05.mp4").write_text(POINTER)
    (of_bad / "01-01-05-01-02-02-05.mp4").write_bytes(b"")
    (root / "landmarks" / "01-01-05-02-01-01-05.csv").write_text(POINTER)
    openface(root / "landmarks" / "01-01-05-02-01-02-05.csv", boxes, found=[False] * len(boxes))
    (of_bad / "holiday.mp4").touch()
    (of_bad / "01-01-05-01-01-01-06.mp4").touch()

    table = load_table("ravdess", root)
    assert set(table.rejected) == {"Actor_05/holiday", "Actor_05/01-01-05-01-01-01-06"}
    assert "seven numbers" in table.rejected["Actor_05/holiday"]
    assert "says actor 06, but it lies in Actor_05" in table.rejected["Actor_05/01-01-05-01-01-01-06"]
    assert any("landmarks" in note for note in table.notes)
    media = {**vars(table.media), **TINY}
    prepared = prepare(table, type(table.media)(**media), cache=tmp_path / "cache", max_bad=0.9, jobs=0)
    assert {name: reason for name, reason in prepared.skipped.items() if name in good} == {}
    for name, why in bad.items():
        assert why.lower() in prepared.skipped[name].lower(), (name, prepared.skipped[name])
    clips = prepared.split("test")
    item = clips[0]
    assert item["visual"].shape == (4, 16, 16, 3)
    assert item["visual"].float().mean() > 200  # nothing but face: the crop follows it
    tone = item["audio"].float()
    assert tone.shape == (19600,) and tone[:400].abs().max() > 0.2 * tone.abs().max()  # the silence is cut off

    without = load_table("ravdess", root, landmarks="none")
    assert all(clip.landmarks is None for clip in without.clips)
    prepared = prepare(without, type(table.media)(**media), cache=tmp_path / "cache", max_bad=0.9, jobs=0)
    assert prepared.split("test")[0]["visual"].float().mean() < 150
    elsewhere = (root / "landmarks").rename(tmp_path / "points")
    assert load_table("ravdess", root, landmarks=str(elsewhere)).clips[0].landmarks.parent == elsewhere
