import shutil

import h5py
import numpy as np
import pytest

from counterpoint.data.splits.published import READERS, check_lists
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from shared_data import ROOT, needs_shared_data

LISTS = ROOT / "splits"
PAIRS = "id,voice-speaker-id,face-speaker-id,label,voice-path,face-path"


def write(folder, **files):
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def leaks(dataset, folder):
    return {
        (report.name, leak.what, *leak.sides): (len(leak.shared), leak.total, leak.clips, leak.all_clips)
        for report in check_lists(dataset, folder)
        for leak in report.leaks
    }


def test_cremad(tmp_path):
    write(
        tmp_path,
        train__csv="1001_DFA_ANG_XX,ANG\n1002_DFA_ANG_XX,ANG\n",
        test__csv="1001_DFA_SAD_XX,SAD\n1003_DFA_ANG_XX,ANG\n",
    )
    assert leaks("cremad", tmp_path) == {("cremad", "actor", "train", "test"): (1, 2, 1, 2)}
    write(tmp_path, test__csv="1001_DFA_SAD_XX,SAD\n1002_DFA_ANG_XX,ANG\n")
    assert leaks("cremad", tmp_path) == {
        ("cremad", "clip", "train", "test"): (1, 2, 1, 2),
        ("cremad", "actor", "train", "test"): (2, 2, 2, 2),
    }
    write(tmp_path, test__csv="1001_DFA_SAD_XX,SAD\nholiday,SAD\n")
    with pytest.raises(DataError, match=r"test\.csv, line 2, column 'clip'.*four parts"):
        check_lists("cremad", tmp_path)


def test_ave(tmp_path):
    lines = ["bark", "bark", "Church bell", "Church bell"]
    videos = ["aaaaaaaaaaa", "bbbbbbbbbbb", "aaaaaaaaaaa", "ccccccccccc"]
    names = {"bark": "Bark", "Church bell": "Church bell"}
    text = [f"{names[label]}&{video}&good&0&10" for label, video in zip(lines, videos, strict=True)]
    write(tmp_path, Annotations__txt="\n".join(text) + "\n")
    for side, rows in (("train", [0]), ("val", [1]), ("test", [2, 3])):
        with h5py.File(tmp_path / f"{side}_order.h5", "w") as file:
            file["order"] = np.array(rows)
    assert leaks("ave", tmp_path) == {("ave", "source video", "train", "test"): (1, 2, 1, 2)}


def test_vggsound(tmp_path):
    write(tmp_path, vggsound__csv='abc,0,"a, b",train\nabc,10,c,test\ndef,0,c,test\n')
    assert leaks("vggsound", tmp_path) == {("vggsound", "source video", "train", "test"): (1, 2, 1, 2)}


def test_kinetics_sounds(tmp_path):
    header = "label,youtube_id,time_start,time_end,split\n"
    write(
        tmp_path,
        train__csv=f"{header}bowling,abc,0,10,train\nabseiling,xyz,0,10,train\n",
        val__csv=f"{header}singing,abc,20,30,val\nabseiling,xyz,20,30,val\nsinging,def,0,10,val\n",
    )
    kinetics = {("kinetics_sounds", "source video", "train", "val"): (1, 2, 1, 2)}
    assert leaks("kinetics_sounds", tmp_path) == kinetics
    write(tmp_path, my_train__txt="abc_0,10,3\ndef_5,10,3\n", my_test__txt="abc_20,10,4\n")
    assert leaks("kinetics_sounds", tmp_path) == {
        **kinetics,
        ("kinetics_sounds, OGM-GE's lists", "source video", "train", "test"): (1, 1, 1, 1),
    }


def test_ssw60(tmp_path):
    write(tmp_path, audio_ml__csv="asset_id,label,split\n1,0,train\n2,0,test\n")
    assert leaks("ssw60", tmp_path) == {}
    assert [report.name for report in check_lists("ssw60", tmp_path)] == ["ssw60/audio_ml"]


def test_shuu(tmp_path):
    pairs = "{0},1,1,1,{1}/aaaaaaaaaaa_0000001.wav,{1}/aaaaaaaaaaa/0000001.jpg\n"
    write(
        tmp_path,
        identity_splits__txt="Ann_A 1\nBob_B 4\nCy_C 2\n",
        veriflist_test_random_unseenunheard__txt=f"{PAIRS}\n{pairs.format(1, 'Bob_B')}",
        veriflist_test_G_unseenunheard__txt=f"{PAIRS}\n{pairs.format(1, 'Ann_A')}{pairs.format(2, 'Bob_B')}",
        veriflist_test_random_seenheard__txt=f"{PAIRS}\n{pairs.format(1, 'Ann_A')}",  # their speakers are trained on
    )
    assert leaks("shuu", tmp_path) == {
        ("shuu: veriflist_test_G_unseenunheard.txt", "speaker", "train", "test"): (1, 2, 2, 4)
    }


def test_voxceleb(tmp_path):
    one, two, three = (f"id1027{k}/aaaaaaaaaaa/00001.wav" for k in range(3))
    again = one.replace("00001", "00002")
    write(tmp_path, trials__txt=f"1 {one} {again}\n1 {two} {two.replace('aaaa', 'bbbb')}\n0 {one} {three}\n")
    (report,) = check_lists("voxceleb", tmp_path)
    assert "speakers were not compared" in report.notes[0]
    within = {("voxceleb: trials.txt, within trials", "source video", "one side", "the other"): (1, 3, 1, 2)}
    assert leaks("voxceleb", tmp_path) == within
    lines = (tmp_path / "trials.txt").read_text()
    for tabs_or_quotes in (
        "\n" + lines.replace(" ", "\t"),
        '"' + lines.strip().replace(" ", '","').replace("\n", '"\n"') + '"',
    ):
        write(tmp_path, trials__txt=tabs_or_quotes)
        assert leaks("voxceleb", tmp_path) == within
    write(tmp_path, train_list__txt=f"id10271 {two}\nid10300 id10300/ccccccccccc/00001.wav\n\n")
    against = "voxceleb: trials.txt, against what is trained on"
    assert leaks("voxceleb", tmp_path) == {
        **within,
        (against, "clip", "train", "test"): (1, 5, 1, 5),
        (against, "speaker", "train", "test"): (1, 3, 2, 5),
    }
    (tmp_path / "train_list.txt").unlink()
    write(tmp_path, iden_split__txt=f"1 {one}\n3 {again}\n2 {three}\n")
    found = leaks("voxceleb", tmp_path)
    assert found["voxceleb: iden_split.txt", "source video", "train", "test"] == (1, 1, 1, 1)
    assert found[against, "speaker", "train", "test"] == (1, 3, 2, 5)
    write(tmp_path, train_list__csv="name,label\n")
    with pytest.raises(DataError, match=r"train_list\.csv, line 1: it names no utterance"):
        check_lists("voxceleb", tmp_path)


@pytest.mark.parametrize("dataset", sorted(READERS))
def test_what_is_not_there_is_said(dataset, tmp_path):
    with pytest.raises(DatasetNotFoundError, match=rf"has no lists of {dataset}: \w+"):
        check_lists(dataset, tmp_path)
    with pytest.raises(DatasetNotFoundError, match="no folder"):
        check_lists(dataset, tmp_path / "none")


def test_datasets_without_lists(tmp_path):
    with pytest.raises(ConfigError, match="No published lists are read of 'cremd'. Did you mean 'cremad'"):
        check_lists("cremd", tmp_path)


@needs_shared_data
def test_the_published_lists():
    """All 91 actors of CREMA-D's usual lists are in both; eight test videos of AVE are trained on."""
    assert leaks("cremad", LISTS / "cremad") == {("cremad", "actor", "train", "test"): (91, 91, 744, 744)}
    assert leaks("ave", LISTS / "ave") == {
        ("ave", "source video", "train", "val"): (10, 401, 10, 402),
        ("ave", "source video", "train", "test"): (8, 402, 8, 402),
    }
    assert leaks("voxceleb", LISTS / "voxceleb") == {
        ("voxceleb: veri_test.csv, within trials", "source video", "one side", "the other"): (276, 583, 1642, 13905)
    }


@needs_shared_data
def test_a_speaker_disjoint_split_of_the_same_clips_passes(tmp_path):
    rows = (LISTS / "cremad" / "train.csv").read_text().split() + (LISTS / "cremad" / "test.csv").read_text().split()
    shutil.rmtree(tmp_path, ignore_errors=True)
    tmp_path.mkdir()
    for side, wanted in (("train", True), ("test", False)):
        mine = [row for row in rows if (int(row[:4]) < 1075) is wanted]
        (tmp_path / f"{side}.csv").write_text("\n".join(mine) + "\n")
    assert leaks("cremad", tmp_path) == {}
