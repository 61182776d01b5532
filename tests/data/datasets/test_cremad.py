import string
from collections import Counter
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterpoint.data import load_table, prepare
from counterpoint.data.datasets.cremad import EMOTIONS, SENTENCES, Spoken, read_name
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from made_clips import pcm_file
from shared_data import ROOT, needs_shared_data

LISTS = ROOT / "splits" / "cremad"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def corpus(root, names):
    """The official layout; listing opens no media, so that empty files will do."""
    for folder, suffix in (("VideoFlash", "flv"), ("AudioWAV", "wav")):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            (root / folder / f"{name}.{suffix}").touch()
    return root


def some_names(actors=range(1001, 1011), sentences=SENTENCES[:3]):
    return [f"{actor}_{sentence}_{emotion}_XX" for actor in actors for sentence in sentences for emotion in EMOTIONS]


def write_lists(folder, train, test):
    folder.mkdir(exist_ok=True)
    for side, names in (("train", train), ("test", test)):
        (folder / f"{side}.csv").write_text("".join(f"{name},{name.split('_')[2]}\n" for name in names))
    return folder


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    names = some_names()
    root = corpus(tmp_path_factory.mktemp("cremad"), names)
    write_lists(root / "CREMAD", [n for k, n in enumerate(names) if k % 7], names[::7])
    return root


def flash_video(path, level):
    """One second of a grey picture in the format of VideoFlash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 36, "yuv420p"
        for k in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((36, 48, 3), level, np.uint8), "rgb24")
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_names_say_what_is_shown():
    assert read_name("1001_DFA_ANG_XX") == Spoken("1001", "DFA", "anger", "XX")
    assert read_name("1091_IEO_SAD_LO") == Spoken("1091", "IEO", "sad", "LO")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("1092_DFA_ANG_XX", "'1092' is no actor"),
        ("101_DFA_ANG_XX", "'101' is no actor"),
        ("1001_DFB_ANG_XX", "'DFB' is no sentence. Did you mean 'DFA'"),
        ("1001_DFA_ANGRY_XX", "'ANGRY' is no emotion. Did you mean 'ANG'"),
        ("1001_DFA_ANG_X", "'X' is no level"),
        ("1001_DFA_ANG", "four parts"),
        ("holiday", "four parts"),
    ],
)
def test_wrong_names(name, why):
    with pytest.raises(DataError, match=why):
        read_name(name)


@given(st.text() | st.text(alphabet=string.digits + "_DFANGX\u0661", min_size=15, max_size=15))
def test_any_name_is_a_clip_or_refused(name):
    try:
        said = read_name(name)
    except DataError:
        return
    assert name.isascii() and said.emotion == EMOTIONS[name.split("_")[2]]


def test_actors_stand_on_one_side(some):
    table = load_table("cremad", some)
    assert table.name == "cremad/emotion"
    assert table.classes == ("neutral", "happy", "sad", "fear", "disgust", "anger")  # the order of the releases
    assert len(table.clips) == 180 and not table.shared_groups() and not table.rejected
    assert {c.split for c in table.clips} == {"train", "val", "test"}
    assert any("actor-disjoint" in note for note in table.notes)
    clip = next(c for c in table.clips if c.id == "1003_IEO_FEA_XX")
    assert (table.classes[clip.label], clip.group) == ("fear", "1003")
    assert clip.path == some / "VideoFlash/1003_IEO_FEA_XX.flv" and clip.audio == some / "AudioWAV/1003_IEO_FEA_XX.wav"
    assert (table.media.num_samples, table.media.num_frames, table.media.size) == (48000, 1, 224)


def test_lists_are_followed_and_said_to_share_actors(some):
    table = load_table("cremad", some, split="lists")
    assert {c.id for c in table.clips if c.split == "test"} == set(some_names()[::7])
    counts = Counter(c.split for c in table.clips)
    assert counts["test"] == 26 and 12 <= counts["val"] <= 18 and counts.total() == 180
    assert any("share 10 actors" in note and "says nothing about a new actor" in note for note in table.notes)
    assert any("validation drawn from training" in note for note in table.notes)
    assert not [c for c in load_table("cremad", some, split="lists", val=0).clips if c.split == "val"]
    explicit = load_table("cremad", some, split="lists", lists=str(some / "CREMAD"))
    assert explicit.clips == table.clips


def test_lists_and_files_that_do_not_fit(some, tmp_path):
    names = some_names()
    lists = write_lists(tmp_path / "lists", [*names[:90], "1050_WSI_SAD_XX"], names[90:150])
    table = load_table("cremad", some, split="lists", lists=lists)
    assert table.rejected == {
        "1050_WSI_SAD_XX": "train.csv lists it, but VideoFlash/1050_WSI_SAD_XX.flv is missing",
    }
    assert "30 clips stand in neither list and are left out." in table.notes
    for line, why in (
        ("1001_DFA_ANG_XX", "line 2: 1 cells, but there must be 2"),
        ("1001_DFA_ANG_XX,SAD", "line 2, column 'class': 'SAD', but 1001_DFA_ANG_XX shows anger"),
        ("1001_DFA_AGN_XX,ANG", "line 2, column 'clip': .*Did you mean 'ANG'"),
        (f"{names[1]},{names[1][9:12]}", "line 2, column 'clip': .* listed already, for train"),
    ):
        (lists / "test.csv").write_text(f"{names[100]},{names[100][9:12]}\n{line}\n")
        with pytest.raises(DataError, match=rf"test\.csv, {why}"):
            load_table("cremad", some, split="lists", lists=lists)
    (lists / "test.csv").write_text(POINTER)
    with pytest.raises(DataError, match="Git LFS pointer"):
        load_table("cremad", some, split="lists", lists=lists)


def test_lists_that_are_nowhere(some, tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"no train\.csv with a test\.csv in nowhere"):
        load_table("cremad", some, split="lists", lists="nowhere")
    root = corpus(tmp_path, some_names())
    with pytest.raises(DatasetNotFoundError, match=r"or a folder in it.*OGM-GE.*option lists"):
        load_table("cremad", root, split="lists")


def test_wrong_options(some):
    for options, why in (
        ({"split": "list"}, "Did you mean 'lists'"),
        ({"val": "many"}, "val is 'many'"),
        ({"lists": "lists"}, "split is 'actors', which reads none; set split=lists"),
        ({"splits": 1}, "no option 'splits'. Did you mean 'split'"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_table("cremad", some, **options)


def test_missing_corpus_says_where_to_get_it(tmp_path, monkeypatch):
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DatasetNotFoundError) as caught:
            load_table("cremad", root)
        for part in (str(root), "CheyneyComputerScience/CREMA-D", "Git LFS", "VideoFlash/", "AudioWAV/"):
            assert part in str(caught.value)
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "moved"))
    with pytest.raises(DatasetNotFoundError, match="moved"):
        load_table("cremad")


def test_the_misnamed_sound_of_older_copies_is_found(tmp_path):
    name = "1040_ITH_SAD_XX"
    root = corpus(tmp_path, [*some_names(), name])

    def sound():
        table = load_table("cremad", root)
        assert not table.rejected
        return next(c.audio.name for c in table.clips if c.id == name)

    assert sound() == f"{name}.wav"
    (root / "AudioWAV" / f"{name}.wav").rename(root / "AudioWAV" / "1040_ITH_SAD_X.wav")
    assert sound() == "1040_ITH_SAD_X.wav"


def test_each_bad_clip_is_set_aside_with_its_reason(tmp_path):
    """The whole way: good clips of three actors, and one of each kind of bad one."""
    root = tmp_path / "cremad"
    good = some_names((1001, 1002, 1003), ("DFA",))
    bad = {
        "1001_IEO_NEU_XX": "missing",
        "1001_IEO_HAP_LO": "LFS pointer",
        "1001_IEO_SAD_LO": "LFS pointer",
        "1001_IEO_ANG_LO": "wav",
    }
    (root / "AudioWAV").mkdir(parents=True)
    for name in (*good, *bad):
        flash_video(root / "VideoFlash" / f"{name}.flv", 30 * list(EMOTIONS).index(name[9:12]) + 40)
        tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
        pcm_file(root / "AudioWAV" / f"{name}.wav", tone[None], rate=16000)
    (root / "AudioWAV/1001_IEO_NEU_XX.wav").unlink()
    (root / "AudioWAV/1001_IEO_HAP_LO.wav").write_text(POINTER)
    (root / "VideoFlash/1001_IEO_SAD_LO.flv").write_text(POINTER)
    (root / "AudioWAV/1001_IEO_ANG_LO.wav").write_bytes(b"RIFF no sound at all")
    (root / "VideoFlash/holiday.flv").touch()
    pcm_file(root / "AudioWAV/1002_IEO_NEU_XX.wav", tone[None], rate=16000)

    table = load_table("cremad", root)
    assert "four parts" in table.rejected["holiday"]
    assert "VideoFlash/1002_IEO_NEU_XX.flv is missing" in table.rejected["1002_IEO_NEU_XX"]
    spec = replace(table.media, size=12)
    prepared = prepare(table, spec, cache=tmp_path / "cache", max_bad=0.9, jobs=0)
    assert prepared.skipped.keys() == {*table.rejected, *bad}
    for name, why in bad.items():
        assert why in prepared.skipped[name], (name, prepared.skipped[name])
    item = prepared.split("test")[0]
    label = int(item["target"])
    assert abs(item["visual"].float().mean() - (30 * label + 40)) < 6  # the picture of this clip
    sound = item["audio"].float() / 32768
    assert sound.shape == (48000,)
    assert sound[:16000].square().mean().sqrt() == pytest.approx(0.5 / 2**0.5, rel=0.02)  # the FLV itself is silent
    # who trains on the picture alone needs no sound
    seen = prepare(table, spec, cache=tmp_path / "seen", max_bad=0.9, jobs=0, modalities=["visual"])
    assert seen.skipped.keys() == {*table.rejected, "1001_IEO_SAD_LO"}


@needs_shared_data
def test_the_published_lists(tmp_path):
    listed = {
        side: [line.split(",")[0] for line in (LISTS / f"{side}.csv").read_text().split()] for side in ("train", "test")
    }
    root = corpus(tmp_path, [*listed["train"], *listed["test"]])
    table = load_table("cremad", root, split="lists", lists=str(LISTS), val=0)
    assert Counter(c.split for c in table.clips) == {"train": 6698, "test": 744} and not table.rejected
    assert len(table.shared_groups()) == 91
    disjoint = load_table("cremad", root)
    assert len(disjoint.clips) == 7442 and not disjoint.shared_groups()
    counts = Counter(c.split for c in disjoint.clips)
    assert abs(counts["test"] / 7442 - 0.2) < 0.02 and abs(counts["val"] / 7442 - 0.1) < 0.02
