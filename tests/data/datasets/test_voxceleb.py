from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from counterpoint.data import load_table, prepare
from counterpoint.data.datasets._voxceleb_files import find_voxceleb, read_meta, utterance_name
from counterpoint.data.datasets.voxceleb import read_iden_split
from counterpoint.data.trials import read_trials
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from made_clips import pcm_file
from shared_data import ROOT, needs_shared_data
from vox_copy import VIDEOS, touch, utterances, vox1, vox1_faces, vox1_meta, vox2

HALVES = {"val": 0.25, "test": 0.25}


def test_voxceleb1_by_whole_videos(tmp_path):
    table = load_table("voxceleb", vox1(tmp_path), **HALVES)
    assert table.name == "voxceleb/speaker" and table.classes == ("id10001", "id10002", "id10003")
    assert {clip.id for clip in table.clips} == set(utterances(table.classes))
    sides = {clip.group: clip.split for clip in table.clips}
    assert all(sides[clip.group] == clip.split for clip in table.clips) and not table.shared_groups()
    for speaker in table.classes:  # every speaker in every split
        videos = Counter(sides[f"{speaker}/{video}"] for video in VIDEOS)
        assert videos == {"train": 2, "val": 1, "test": 1}
    clip = table.clips[0]
    assert clip.path == tmp_path / f"vox1_dev_wav/wav/{clip.id}.wav" and clip.audio is None
    assert table.classes[clip.label] == clip.id.split("/")[0]
    for note in ("Left out: 2 speakers kept for verification.", "24 of 24 utterances have no picture."):
        assert note in table.notes
    assert [c.split for c in load_table("voxceleb", tmp_path, seed=1, **HALVES).clips] != [c.split for c in table.clips]


def test_voxceleb2_has_faces(tmp_path):
    table = load_table("voxceleb", vox2(tmp_path), **HALVES)
    assert table.classes == ("id00012", "id00015")
    for clip in table.clips:
        assert clip.path == tmp_path / f"dev/mp4/{clip.id}.mp4" and clip.audio == tmp_path / f"dev/aac/{clip.id}.m4a"
    assert not any("no picture" in note for note in table.notes)


def test_videos_alone_have_their_own_sound(tmp_path):
    for name in utterances(("id00012", "id00015")):
        touch(tmp_path, "mp4", f"{name}.mp4")
    assert all(clip.audio is None and clip.path.suffix == ".mp4" for clip in load_table("voxceleb", tmp_path).clips)


def test_pictures_of_faces(tmp_path):
    """MMCosine's pictures per utterance, pictures in folders, and VoxCeleb1's, which lie by name and video."""
    root = vox1(tmp_path, dev=("id10001", "id10002"), test=())
    for name in utterances(("id10001",)):
        for k in range(3):
            touch(root, "faces", name.replace("/", "#") + ".txt#000.mp4", f"{k:07d}.png")
    touch(root, "crops", "id10002", VIDEOS[0], "00001", "0000004.jpg")
    touch(root, "crops", "id10002", VIDEOS[0], "00002", "readme.txt")
    paths = {clip.id: clip for clip in load_table("voxceleb", root).clips}
    for name in utterances(("id10001",)):
        assert paths[name].path == root / "faces" / (name.replace("/", "#") + ".txt#000.mp4") / "0000001.png"
        assert paths[name].audio == root / "vox1_dev_wav" / "wav" / f"{name}.wav"
    assert paths[f"id10002/{VIDEOS[0]}/00001"].path.name == "0000004.jpg"
    assert paths[f"id10002/{VIDEOS[0]}/00002"].path.suffix == ".wav"

    names = {"id10001": "A.J._Buckley", "id10002": "A.R._Rahman"}
    vox1_meta(root, names)
    vox1_faces(root, names)
    again = {clip.id: clip for clip in load_table("voxceleb", root).clips}
    assert again[f"id10001/{VIDEOS[1]}/00002"].path == paths[f"id10001/{VIDEOS[1]}/00002"].path
    for number in "12":
        clip = again[f"id10002/{VIDEOS[3]}/0000{number}"]
        assert clip.path == root / "unzippedFaces/A.R._Rahman/1.6" / VIDEOS[3] / "0000075.jpg"


def test_who_is_kept_for_verification(tmp_path):
    tables = "VoxCeleb2 ID ,VGGFace2 ID ,Gender,Set \nid00012 ,n000012 ,m ,dev \nid00015 ,n000015 ,f ,test \n"
    for name in utterances(("id00012", "id00015", "id10001", "id10300")):
        touch(tmp_path, "all", f"{name}.wav")
    (tmp_path / "vox2_meta.csv").write_text(tables)
    found = find_voxceleb(tmp_path)
    assert {name.split("/")[0] for name, u in found.utterances.items() if u.test} == {"id00015", "id10300"}
    vox2(tmp_path / "two", dev=("id00013",), test=("id00018",))
    found = find_voxceleb(tmp_path / "two")
    assert {name.split("/")[0] for name, u in found.utterances.items() if u.test} == {"id00018"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("VoxCeleb1 ID\tSet\n10001\tdev\n", "line 2, column 'VoxCeleb1 ID': '10001' is no speaker"),
        ("VoxCeleb1 ID\tSet\nid10001\tdve\n", "line 2, column 'Set': 'dve' is neither dev nor test"),
        ("VoxCeleb2 ID ,Set \nid1,dev\n", "line 2, column 'VoxCeleb2 ID'"),
        ("VoxCeleb3 ID\tSet\n", "unknown column 'VoxCeleb3 ID'"),
        ("version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
    ],
)
def test_tables_of_speakers_that_do_not_fit(text, why, tmp_path):
    path = tmp_path / "vox1_meta.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"vox1_meta\.csv.*{why}"):
        read_meta(path)


def test_speakers_with_few_videos_are_trained_on_alone(tmp_path):
    vox1(tmp_path)
    vox1(tmp_path, dev=("id10004",), test=(), videos=VIDEOS[:2])
    table = load_table("voxceleb", tmp_path, **HALVES)
    assert {clip.split for clip in table.clips if clip.id.startswith("id10004")} == {"train"}
    assert "1 speakers have fewer than 3 source videos and are for training alone." in table.notes


def test_the_official_split_for_identification(tmp_path):
    root = vox1(tmp_path)
    names = utterances(("id10001", "id10270"))
    sides = [1 + (k % 4 == 0) + (k % 4 == 1) * 2 for k in range(len(names))]
    lines = [f"{side} {name}.wav" for side, name in zip(sides, names, strict=True)]
    (root / "iden_split.txt").write_text("\n".join([*lines, "3 id10001/zzzzzzzzzzz/00001.wav"]) + "\n")
    table = load_table("voxceleb", root, split="iden")
    assert table.classes == ("id10001", "id10270")
    said = {"1": "train", "2": "val", "3": "test"}
    assert {c.id: c.split for c in table.clips} == {n: said[str(s)] for n, s in zip(names, sides, strict=True)}
    assert table.rejected == {
        "id10001/zzzzzzzzzzz/00001": "iden_split.txt lists it for test, but it is missing",
    }
    assert "1 listed utterances are missing." in table.notes
    assert any("Training and test share 4 source videos" in note for note in table.notes)
    for line, why in (
        ("4 id10001/aaaaaaaaaaa/00001.wav", "column 'set': '4' is none of"),
        ("1 id1001/aaaaaaaaaaa/00001.wav", "column 'utterance': 'id1001/"),
        ("1 00001.wav", "column 'utterance'"),
        ("1", "1 cells"),
        (lines[0], "listed already"),
    ):
        (root / "iden_split.txt").write_text(f"{lines[0]}\n{line}\n")
        with pytest.raises(DataError, match=rf"iden_split\.txt, line 2.*{why}"):
            read_iden_split(root / "iden_split.txt")


def test_utterances_of_a_trial_list(tmp_path):
    root = vox2(tmp_path)
    one, two, three = utterances(("id00017",))[:3]
    path = root / "pairs.csv"
    path.write_text(
        f"1,/{one}.wav,/{two}.wav\n0,/{one}.wav,/id00099/eeeeeeeeeee/00001.wav\n1,/{one}.wav,/{three}.wav\n"
    )
    table = load_table("voxceleb", root, trials=str(path))
    assert table.name == "voxceleb/trials"
    assert any("Recommended: 4 s of an utterance" in note for note in table.notes)  # a run may have told otherwise
    assert [clip.id for clip in table.clips] == [f"{name}.wav" for name in (one, two, three)]  # as in the list
    assert {clip.split for clip in table.clips} == {"test"} and table.clips[0].path == root / f"test/mp4/{one}.mp4"
    assert table.rejected == {"id00099/eeeeeeeeeee/00001.wav": "pairs.csv lists it in 1 trials, but it is missing"}
    assert any(
        "1 of 4 utterances are missing" in note and "0 of one speaker and 1 of two" in note for note in table.notes
    )
    left, _ = read_trials(path).available([clip.id for clip in table.clips])
    assert left.utterances == tuple(clip.id for clip in table.clips)
    path.write_text("0 id00098/eeeeeeeeeee/00001.wav id00099/eeeeeeeeeee/00001.wav\n")
    with pytest.raises(DataError, match="None of the 2 utterances of .*pairs.csv is there, e.g. id00098"):
        load_table("voxceleb", root, trials=str(path))
    path.write_text("0 00001.wav 00002.wav\n")
    with pytest.raises(DataError, match=r"pairs\.csv: '00001\.wav' is no utterance such as"):
        load_table("voxceleb", root, trials=str(path))


def test_labels_that_the_names_contradict(tmp_path):
    root = vox2(tmp_path)
    (one, two), other = utterances(("id00017",))[:2], utterances(("id00012",))[0]
    path = root / "pairs.csv"
    path.write_text(f"1 {one}.wav {two}.wav\n\n0 {two}.wav {one}.wav\n1 {one}.wav {other}.wav\n")
    with pytest.raises(DataError, match=rf"pairs\.csv: 2 of 3 labels .* trial 2, 0 for {two}\.wav and {one}\.wav"):
        load_table("voxceleb", root, trials=str(path))


def test_what_is_not_there_is_said(tmp_path):
    for root in (tmp_path / "none", tmp_path):
        with pytest.raises(DatasetNotFoundError, match=r"(?s)VoxCeleb is not at .*wav/id10001.*dev/aac/id00012"):
            load_table("voxceleb", root)
    vox1(tmp_path)
    with pytest.raises(DatasetNotFoundError, match=r"no iden_split\.txt in"):
        load_table("voxceleb", tmp_path, split="iden")
    for options, why in (
        ({"split": "video"}, "Did you mean 'videos'"),
        ({"lists": "here"}, "take split=iden"),
        ({"val": 1.5}, "val is 1.5"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_table("voxceleb", tmp_path, **options)
    (tmp_path / "iden_split.txt").write_text("1 id10009/aaaaaaaaaaa/00001.wav\n")
    with pytest.raises(DataError, match=r"None of the 1 utterances of .*iden_split\.txt is in"):
        load_table("voxceleb", tmp_path, split="iden")
    with pytest.raises(DataError, match="no utterance for training"):
        load_table("voxceleb", vox1(tmp_path / "test_alone", dev=()))


def test_names_of_utterances():
    assert utterance_name("/id00017/Nd3m-TBtp6A/00037.wav") == "id00017/Nd3m-TBtp6A/00037"
    for wrong in ("id00017/00037.wav", "", "00017/Nd3m-TBtp6A/00037.wav", "id00017//00037.wav"):
        with pytest.raises(DataError, match="no utterance"):
            utterance_name(wrong)


def test_the_whole_way(tmp_path):
    """A picture and a sound file make a clip; each bad one is set aside with its reason."""
    root = tmp_path / "vox"
    names = {"id10001": "A.J._Buckley", "id10002": "A.R._Rahman"}
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    for name in utterances(names):
        path = root / "wav" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        pcm_file(path, tone[None], rate=8000)
    vox1_meta(root, names)
    vox1_faces(root, names)
    for path in root.rglob("*.jpg"):
        Image.new("RGB", (20, 20), (200, 100, 50)).save(path)
    bad = utterances(("id10001",))[0]
    (root / "wav" / f"{bad}.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    table = load_table("voxceleb", root, **HALVES)
    spec = replace(table.media, sample_rate=8000, seconds=0.5, size=8)
    prepared = prepare(table, spec, cache=tmp_path / "cache", max_bad=0.1, jobs=0)
    assert list(prepared.skipped) == [bad] and "LFS pointer" in prepared.skipped[bad]
    item = prepared.split("test")[0]
    assert item["visual"].float().mean((0, 1, 2)).tolist() == pytest.approx([200, 100, 50], abs=4)
    assert item["audio"].float().square().mean().sqrt() / 32768 == pytest.approx(0.5 / 2**0.5, rel=0.02)


@needs_shared_data
@pytest.mark.parametrize(("name", "side"), [("veri_test", "vox1_test_wav/wav"), ("test_pairs", "test/aac")])
def test_mmcosines_trial_lists(name, side, tmp_path):
    path = ROOT / "splits" / "voxceleb" / f"{name}.csv"
    trials = read_trials(path)
    there = [listed for k, listed in enumerate(trials.utterances) if k % 10]
    suffix = {"veri_test": ".wav", "test_pairs": ".m4a"}[name]
    for listed in there:
        touch(tmp_path, side, Path(listed).with_suffix(suffix))
    table = load_table("voxceleb", tmp_path, trials=str(path))
    assert [clip.id for clip in table.clips] == there
    assert set(table.rejected) == set(trials.utterances[::10])
    _, missing = trials.available(there)
    assert missing.note() in table.notes
