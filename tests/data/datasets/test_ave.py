import string
from collections import Counter

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import PreparedFeatures, load_table, prepare
from counterpoint.data.datasets._ave_files import CLASSES, parse_annotations
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.media.spec import MediaSpec
from feature_files import cut, numbers, write
from made_clips import write_clip
from shared_data import ROOT, needs_shared_data

OFFICIAL = ROOT / "splits" / "ave"
HEADER = "Category&VideoID&Quality&StartTime&EndTime"
LINES = [
    "Church bell&aaa&good&0&10",
    "Bark&bbb&good&2&5",
    "Bark&ccc&good&0&10",
    "Church bell&ddd&good&0&0",
    "Church bell&bbb&good&2&5",
    "Mandolin&eee&good&9&10",
]
ORDER = {"train": [2, 0, 3, 1], "val": [5], "test": [4]}  # bbb stands on both sides
KEY = "avadataset"


def one_hot(classes):
    return np.eye(29, dtype=np.float32)[np.asarray(classes)]


def segments(lines=LINES):
    """The class of each second, counted out of the lines."""
    rows = []
    for line in lines:
        name, _, _, start, end = line.split("&")
        label = CLASSES.index(name)
        rows.append([label if int(start) <= k < int(end) else 28 for k in range(10)])
    return rows


def corpus(root, *, features=True, videos=False, header=False, lines=LINES, order=ORDER, spelling=""):
    root.mkdir(parents=True, exist_ok=True)
    (root / "Annotations.txt").write_text("\n".join([HEADER, *lines] if header else lines) + "\n")
    for split, rows in order.items():
        write(root / f"{split}_order.h5", order=np.array(rows))
    if features:
        write(root / f"visual_feature{spelling}.h5", **{KEY: numbers("visual", len(lines), dtype=np.float64)})
        write(root / f"audio_feature{spelling}.h5", **{KEY: numbers("audio", len(lines))})
    if videos:
        (root / "AVE").mkdir()
    return root


def noisy_files(root, clips=3, visual="visual_feature_noisy.h5", audio="audio_feature_noisy.h5"):
    write(root / visual, **{KEY: 100 + numbers("visual", clips)})
    write(root / audio, **{KEY: 100 + numbers("audio", clips)})


def split_of(table, name):
    return [clip.id for clip in table.clips if clip.split == name]


@pytest.mark.parametrize("spelling", ["", "s"])
@pytest.mark.parametrize("below", ["", "data", "AVE_Dataset"])
def test_features_with_their_events(tmp_path, spelling, below):
    corpus(tmp_path / below, spelling=spelling, header=below == "AVE_Dataset")
    table = load_table("ave", tmp_path)
    assert table.name == "ave/event" and table.classes == CLASSES and len(CLASSES) == 28 and table.background == 28
    assert {split: split_of(table, split) for split in ORDER} == {
        "train": ["ccc", "aaa", "ddd", "bbb"],
        "val": ["eee"],
        "test": ["bbb#2"],
    }
    clip = {clip.id: clip for clip in table.clips}
    assert [clip[name].label for name in ("aaa", "bbb", "bbb#2", "ddd", "eee")] == [0, 2, 0, 28, 27]
    assert table.events["ddd"] == () and (table.events["bbb"][0].start, table.events["bbb"][0].end) == (2, 5)
    assert table.segments == 10 and table.features.dims == {"audio": 3, "visual": 4} and table.media.seconds == 10
    notes = " ".join(table.notes)
    assert "Labels: from Annotations.txt" in notes and f"visual_feature{spelling}.h5" in notes
    assert "Background: 42.5% in train, 90.0% in val, 70.0% in test" in notes

    prepared = PreparedFeatures(table, cache=tmp_path / "cache")
    train = prepared.split("train")
    rows = ORDER["train"]
    assert np.array_equal(train.targets.numpy(), np.array(segments())[rows])
    assert np.array_equal(train.batch(range(4))["audio"].numpy(), numbers("audio", 6)[rows])


def test_a_video_in_test_and_training(tmp_path):
    table = load_table("ave", corpus(tmp_path))
    assert table.shared_groups() == {"bbb"} and any("1 train clips are of videos that" in note for note in table.notes)
    table = load_table("ave", tmp_path, disjoint=True)
    assert not table.shared_groups() and split_of(table, "train") == ["ccc", "aaa", "ddd"]
    assert split_of(table, "test") == ["bbb#2"] and any("Left out: 1 train clips" in note for note in table.notes)


@pytest.mark.parametrize("name", ["labels.h5", "right_labels.h5"])
def test_labels_of_segments_come_before_the_annotations(tmp_path, name):
    truth = segments(LINES * 4)
    corpus(tmp_path, lines=[line.replace("&good", f"{k}&good") for k, line in enumerate(LINES * 4)])
    write(tmp_path / name, **{KEY: one_hot(truth)})
    table = load_table("ave", tmp_path)
    assert any(f"Labels: from {name}, as Annotations.txt says." in note for note in table.notes)
    assert table.events == load_table("ave", corpus(tmp_path / "without", lines=_lines(tmp_path))).events
    truth[1] = [2, 2, 28, 28, 2, 28, 28, 28, 28, 2]  # clip bbb1
    write(tmp_path / name, **{KEY: one_hot(truth)})
    table = load_table("ave", tmp_path)
    assert any(f"Labels: from {name}, 1 of 24 clips differ" in note for note in table.notes)
    assert [(e.label, e.start, e.end) for e in table.events["bbb1"]] == [(2, 0, 2), (2, 4, 5), (2, 9, 10)]
    assert PreparedFeatures(table, cache=tmp_path).split("train").targets[3].tolist() == truth[1]
    truth[2] = truth[0]
    write(tmp_path / name, **{KEY: one_hot(truth)})
    with pytest.raises(DataError, match=r"labels of 2 of 24 clips are not what Annotations\.txt says"):
        load_table("ave", tmp_path)


def _lines(root):
    return (root / "Annotations.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("labels.h5", one_hot(segments())[:5], "it has 5 rows, but there are 6 clips"),
        ("labels.h5", one_hot(segments())[..., :28], r"\(6, 10, 28\); it must be \(clips, T, 29\)"),
        ("labels.h5", 2 * one_hot(segments()) - 1 + (np.arange(29) == 3) * 2.0, "no class, or more than one"),
        ("labels.h5", one_hot(segments()) * 0, "no class, or more than one"),
        ("labels.h5", one_hot(segments()) * np.nan, "not finite"),
        ("right_labels.h5", np.array(segments()), r"shape \(6, 10\)"),
        ("mil_labels.h5", one_hot([2, 0, 2, 0, 0, 27]), "labels of 2 of 6 clips are not"),
        ("prob_label.h5", one_hot([0, 2, 2, 0, 0]), "it has 5 rows"),
        ("mil_labels.h5", np.array([b"a"] * 6), "not numbers"),
        ("test_order.h5", None, r"no dataset 'order'\. Known: avadataset"),
    ],
)
def test_label_files_that_do_not_fit(tmp_path, name, values, why):
    corpus(tmp_path)
    write(tmp_path / name, **{KEY: np.arange(6) if values is None else values})
    with pytest.raises(DataError, match=why) as caught:
        load_table("ave", tmp_path)
    assert name in str(caught.value)


def test_labels_of_whole_clips_that_fit(tmp_path):
    corpus(tmp_path)
    write(tmp_path / "mil_labels.h5", **{KEY: one_hot([0, 2, 2, 0, 0, 27])})
    write(tmp_path / "prob_label.h5", **{KEY: one_hot(segments()).mean(1)})  # ddd: background alone
    assert len(load_table("ave", tmp_path).clips) == 6


@pytest.mark.parametrize(
    ("order", "why"),
    [
        ({**ORDER, "test": [4, 2]}, r"lists 1 clips more than once; the first: row 2 \(ccc\)"),
        ({**ORDER, "test": [6]}, "names the rows 6 to 6, but Annotations.txt has 6"),
        ({**ORDER, "test": [-1]}, "names the rows -1 to -1"),
        ({**ORDER, "test": [1.5]}, "1 values of float64; it must be row numbers"),
        ({**ORDER, "test": [[4]]}, r"shape \(1, 1\); it must be \(clips\)"),
        ({**ORDER, "test": np.zeros(0, int)}, "0 values"),
    ],
)
def test_orders_that_do_not_fit(tmp_path, order, why):
    with pytest.raises(DataError, match=why):
        load_table("ave", corpus(tmp_path, order=order))


def test_the_split_of_the_archive(tmp_path):
    corpus(tmp_path, header=True)
    for split, rows in ORDER.items():
        (tmp_path / f"{split}_order.h5").unlink()
        (tmp_path / f"{split}Set.txt").write_text("\n".join(LINES[k] for k in rows))
    assert split_of(load_table("ave", tmp_path), "train") == ["ccc", "aaa", "ddd", "bbb"]
    (tmp_path / "testSet.txt").write_text("Bark&zzz&good&0&10")
    with pytest.raises(DataError, match=r"testSet\.txt: Bark&zzz is not in"):
        load_table("ave", tmp_path)
    (tmp_path / "testSet.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no test_order\.h5 and no testSet\.txt"):
        load_table("ave", tmp_path)


def test_clips_in_no_split_are_told(tmp_path):
    table = load_table("ave", corpus(tmp_path, order={"train": [0, 1], "val": [5], "test": [4]}))
    assert len(table.clips) == 4 == len(table.events)
    assert any(note.startswith("2 annotated clips are in no split") for note in table.notes)


@pytest.mark.parametrize(
    ("visual", "audio"),
    [
        ("visual_feature_noisy.h5", "audio_feature_noisy.h5"),
        ("visual_features_noisy.h5", "audio_features_noisy.h5"),
        ("video_feature_noisy.h5", "audio_feature_noisy.h5"),
    ],
)
def test_background_videos_in_training(tmp_path, visual, audio):
    noisy_files(corpus(tmp_path), visual=visual, audio=audio)
    write(tmp_path / "labels_noisy.h5", **{KEY: one_hot([28] * 3)})
    assert len(load_table("ave", tmp_path).clips) == 6
    table = load_table("ave", tmp_path, noisy=True)
    assert table.name == "ave/event/noisy" and any("3 more videos" in note for note in table.notes)
    added = table.clips[6:]
    assert [(c.id, c.label, c.split) for c in added] == [(f"noisy/00{k}", 28, "train") for k in range(3)]
    train = PreparedFeatures(table, cache=tmp_path / "cache").split("train")
    assert len(train) == 7 and (train.targets[4:] == 28).all()
    batch = train.batch([6, 0])
    assert np.array_equal(batch["visual"].numpy()[0], (100 + numbers("visual", 3))[2])
    assert np.array_equal(batch["audio"].numpy()[1], numbers("audio", 6)[2])


def test_background_videos_that_do_not_fit(tmp_path):
    corpus(tmp_path, videos=True)
    with pytest.raises(DatasetNotFoundError, match=r"no visual_feature_noisy\.h5, .*_noisy\.h5 and no audio_feature_n"):
        load_table("ave", tmp_path, noisy=True)
    with pytest.raises(ConfigError, match="exist as features alone"):
        load_table("ave", tmp_path, noisy=True, source="video")
    noisy_files(tmp_path)
    write(tmp_path / "labels_noisy.h5", **{KEY: one_hot([28, 0, 28])})
    with pytest.raises(DataError, match="1 of 3 videos are not background"):
        load_table("ave", tmp_path, noisy=True)
    write(tmp_path / "audio_feature_noisy.h5", **{KEY: numbers("audio", 2)})
    with pytest.raises(DataError, match=r"audio_feature_noisy\.h5: it has features of 2 clips, but visual_f.* has 3"):
        load_table("ave", tmp_path, noisy=True)


@pytest.mark.parametrize("name", ["visual_feature.h5", "audio_feature.h5"])
def test_features_that_do_not_fit(tmp_path, name):
    corpus(tmp_path)
    modality = name.split("_")[0]
    for change, why in (
        (
            lambda: write(tmp_path / name, **{KEY: numbers(modality, 5)}),
            "features of 5 clips, but Annotations.txt has 6",
        ),
        (
            lambda: write(tmp_path / name, dataset=numbers(modality, 6)),
            "no dataset 'avadataset'. Did you mean 'dataset'",
        ),
        (lambda: write(tmp_path / name, **{KEY: numbers(modality, 6)[..., 0]}), "features (must be|are one vector)"),
        (lambda: cut(tmp_path / name), "not complete"),
    ):
        change()
        with pytest.raises(DataError, match=why) as caught:
            load_table("ave", tmp_path)
        assert str(tmp_path / name) in str(caught.value)


def test_videos_where_there_are_no_features(tmp_path):
    seconds = np.arange(16000 * 10) / 16000
    root = corpus(tmp_path, features=False, videos=True)
    for name in ("aaa", "bbb", "ccc", "eee"):
        frames = np.full((20, 24, 32, 3), 90, np.uint8)
        write_clip(
            root / "AVE" / f"{name}.mp4", np.sin(440 * seconds).astype(np.float32), frames, fps=2, sample_rate=16000
        )
    table = load_table("ave", root)
    assert table.features is None and table.segments == 10 and table.media.seconds == 10
    spec = MediaSpec(sample_rate=8000, seconds=10, fps=1, size=8, gray=False)
    clips = prepare(table, spec, cache=tmp_path / "cache", max_bad=0.2, jobs=0)
    assert clips.skipped == {"ddd": "the file is missing"}  # one annotated video is gone
    assert clips.split("train")[0]["visual"].shape == (10, 8, 8, 3)
    corpus(root)
    assert load_table("ave", root).features is not None
    assert load_table("ave", root, source="video").features is None


def test_missing_files_say_what_was_looked_for_and_where_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(DatasetNotFoundError) as caught:
        load_table("ave", tmp_path)
    for part in (str(tmp_path), "no Annotations.txt", "YapengTian/AVE-ECCV18", "visual_features.h5", "AVE/<id>.mp4"):
        assert part in str(caught.value)
    corpus(tmp_path, features=False)
    with pytest.raises(DatasetNotFoundError, match=r"no visual_feature\.h5, visual_features\.h5 and no audio_feature"):
        load_table("ave", tmp_path)
    write(tmp_path / "audio_features.h5", **{KEY: numbers("audio", 6)})
    with pytest.raises(DatasetNotFoundError, match=r"no visual_feature\.h5, visual_features\.h5\. Get it from"):
        load_table("ave", tmp_path, source="features")
    with pytest.raises(ConfigError, match="Did you mean 'video'"):
        load_table("ave", tmp_path, source="videos")
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "moved"))
    with pytest.raises(DatasetNotFoundError, match="moved"):
        load_table("ave")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Barks&x&good&0&10", "line 2, column 'class': AVE has no class 'Barks'. Did you mean 'Bark'"),
        ("Bark&&good&0&10", "line 2, column 'id'"),
        ("Bark&../x&good&0&10", "no name of a video"),
        ("Bark&x&good&6&5", "ends at 5 s, before it starts"),
        ("Bark&x&good&0&11", "not within the 10 s"),
        ("Bark&x&good&nan&10", "not within the 10 s"),
        ("Bark&x&good&zero&10", "'zero' is not a time"),
        ("Bark&x&0&10", "line 2: 4 cells, but there must be 5"),
        ("Bark,x,good,0,10", "line 2: 1 cells"),
        (HEADER, "has no class 'Category'"),
    ],
)
def test_lines_that_do_not_fit(line, why):
    with pytest.raises(DataError, match=why):
        parse_annotations(f"{LINES[0]}\n{line}\n", "Annotations.txt")


def test_no_annotations():
    for text in ("", "\n\n", HEADER):
        with pytest.raises(DataError, match="has no annotations"):
            parse_annotations(text, "Annotations.txt")


VIDEO = st.text(string.ascii_letters + string.digits + "-_", min_size=11, max_size=11)
SPAN = st.tuples(st.integers(0, 10), st.integers(0, 10)).map(sorted)


@given(st.lists(st.tuples(st.sampled_from(CLASSES), VIDEO, SPAN), min_size=1), st.booleans())
def test_annotations_come_back(rows, header):
    lines = [f"{name}&{video}&good&{start}&{end}" for name, video, (start, end) in rows]
    found = parse_annotations("\n".join([HEADER, *lines] if header else lines), "Annotations.txt")
    assert [(CLASSES[a.label], a.video, [a.start, a.end]) for a in found] == rows
    assert [len(a.events) for a in found] == [int(end > start) for _, _, (start, end) in rows]


@given(st.text() | st.text("&\n\"' 0123456789.-Bark", max_size=80))
def test_any_text_is_annotations_or_refused(text):
    try:
        found = parse_annotations(text, "Annotations.txt")
    except DataError:
        return
    assert found and all(0 <= a.start <= a.end <= 10 and a.video for a in found)


@needs_shared_data
def test_the_official_files(tmp_path):
    for file in OFFICIAL.iterdir():
        (tmp_path / file.name).symlink_to(file)
    (tmp_path / "AVE").mkdir()
    table = load_table("ave", tmp_path)
    assert Counter(clip.split for clip in table.clips) == {"train": 3339, "val": 402, "test": 402}
    assert any("Background: 16.9% in train, 18.2% in val, 17.8% in test" in note for note in table.notes)
    with h5py.File(OFFICIAL / "mil_labels.h5") as file:
        marks = file[KEY][:]
    annotations = parse_annotations((OFFICIAL / "Annotations.txt").read_text(), "Annotations.txt")
    assert [a.label for a in annotations] == marks.argmax(1).tolist()  # the order of CLASSES is the official one
    assert {c.label for c in table.clips} == set(range(29)) and sum(c.label == 28 for c in table.clips) == 1
    assert len({c.group for c in table.clips}) == 4097 and len(table.shared_groups()) == 8
    disjoint = load_table("ave", tmp_path, disjoint=True)
    assert Counter(clip.split for clip in disjoint.clips) == {"train": 3320, "val": 402, "test": 402}
    assert not disjoint.shared_groups()
