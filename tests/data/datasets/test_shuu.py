from collections import Counter

import pytest

from counterpoint.data import load_table
from counterpoint.data.datasets.shuu import pair_tables, read_identity_splits, read_pairs
from counterpoint.errors import DataError, DatasetNotFoundError
from vox_copy import VIDEOS, vox1, vox1_faces, vox1_meta

NAMES = {
    "id10001": "A.J._Buckley",
    "id10002": "Abbie_Cornish",
    "id10003": "Adam_Beach",
    "id10004": "A.R._Rahman",
    "id10270": "Aamir_Khan",
}
SETS = {"A.J._Buckley": 1, "Abbie_Cornish": 1, "Adam_Beach": 2, "A.R._Rahman": 4, "Aamir_Khan": 4}
HEADER = "id,voice-speaker-id,face-speaker-id,label,voice-path,face-path"
SEEN = "veriflist_test_random_seenheard.txt"
UNSEEN = "veriflist_test_random_unseenunheard.txt"


def pair(number, voice, face, k=1, video=0, picture=75):
    return (
        f"{number},1,2,{int(voice == face)},{voice}/{VIDEOS[video]}_{k:07d}.wav,"
        f"{face}/{VIDEOS[video]}/{picture:07d}.jpg"
    )


def write_pairs(path, pairs):
    path.write_text("\n".join([HEADER, *pairs]) + "\n")
    return path


@pytest.fixture
def copy(tmp_path):
    root = vox1(tmp_path / "vox", dev=[n for n in NAMES if n < "id10270"], test=["id10270"])
    vox1_meta(root, NAMES)
    vox1_faces(root, NAMES)
    (root / "identity_splits.txt").write_text("".join(f"{name} {number} \n" for name, number in SETS.items()))
    write_pairs(
        root / SEEN,
        [pair(1, "A.J._Buckley", "A.J._Buckley"), pair(2, "A.J._Buckley", "Abbie_Cornish", k=2)],
    )
    write_pairs(
        root / UNSEEN,
        [
            pair(1, "A.R._Rahman", "A.R._Rahman"),
            pair(2, "A.R._Rahman", "Aamir_Khan"),
            pair(3, "Aamir_Khan", "Aamir_Khan", k=9),
            pair(4, "Aamir_Khan", "A.R._Rahman", video=2, picture=76),
        ],
    )
    return root


def test_training_speakers_with_the_seen_heard_videos_held_out(copy):
    table = load_table("shuu", copy, val=0.3)
    assert table.classes == ("id10001", "id10002")  # no speaker of validation or of Unseen-Unheard
    assert table.name == "shuu/speaker" and table.group_word == "source video" and not table.shared_groups()
    for clip in table.clips:
        assert (clip.split == "test") == (clip.group.split("/")[1] == VIDEOS[0])
        assert clip.audio == copy / "vox1_dev_wav/wav" / f"{clip.id}.wav"
        name = NAMES[clip.id.split("/")[0]]
        assert clip.path == copy / "unzippedFaces" / name / "1.6" / clip.id.split("/")[1] / "0000075.jpg"
    assert Counter(clip.split for clip in table.clips) == {"train": 8, "val": 4, "test": 4}


def test_pairs_with_tables_of_their_voices_and_faces(copy):
    tables = pair_tables(copy / UNSEEN, copy)
    assert tables.pairs.target.tolist() == [True, False, True, False]
    voices = {clip.id: clip for clip in tables.voices.clips}
    faces = {clip.id: clip for clip in tables.faces.clips}
    wav = copy / "vox1_dev_wav/wav/id10004"
    assert {name: clip.path for name, clip in voices.items()} == {
        f"A.R._Rahman/{VIDEOS[0]}_0000001.wav": wav / VIDEOS[0] / "00001.wav",
        f"Aamir_Khan/{VIDEOS[2]}_0000001.wav": copy / "vox1_test_wav/wav/id10270" / VIDEOS[2] / "00001.wav",
    }
    assert tables.voices.rejected == {f"Aamir_Khan/{VIDEOS[0]}_0000009.wav": f"{UNSEEN} lists it, but it is missing"}
    assert set(faces) == {f"{name}/{VIDEOS[0]}/0000075.jpg" for name in ("A.R._Rahman", "Aamir_Khan")}
    assert set(tables.faces.rejected) == {f"A.R._Rahman/{VIDEOS[2]}/0000076.jpg"}
    assert "1 listed voices are missing." in tables.voices.notes
    left, missing = tables.pairs.available([*voices, *faces])
    assert len(left) == 2 and (missing.targets, missing.nontargets) == (1, 1)
    firsts = [left.utterances[k] for k in left.first]
    assert all(name.endswith(".wav") for name in firsts) and len(set(firsts)) == 1
    assert {left.utterances[k] for k in left.second} == set(faces)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (pair(1, "A.J._Buckley", "A.J._Buckley").replace(",1,A", ",0,A"), "column 'label': '0', but the names are one"),
        (pair(1, "A.J._Buckley", "Adam_Beach").replace(",0,A", ",1,A"), "column 'label': '1', but the names are two"),
        ("1,1,1,1,A/b.wav,A/aaaaaaaaaaa/1.jpg", "column 'voice-path': 'A/b.wav' is no voice such as"),
        ("1,1,1,1,A/aaaaaaaaaaa_0000001.wav,A/1.jpg", "column 'face-path': 'A/1.jpg' is no face"),
        ("1,1,1,1,A/aaaaaaaaaaa_0000001.wav", "5 cells"),
    ],
)
def test_pairs_that_do_not_fit(line, why, tmp_path):
    path = write_pairs(tmp_path / "pairs.txt", [pair(1, "A.J._Buckley", "A.J._Buckley"), line])
    with pytest.raises(DataError, match=rf"pairs\.txt, line 3.*{why}"):
        read_pairs(path)
    with pytest.raises(DataError, match="has no pairs"):
        read_pairs(write_pairs(path, []))
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(DataError, match="LFS pointer"):
        read_pairs(path)


def test_identity_splits_that_do_not_fit(tmp_path):
    path = tmp_path / "identity_splits.txt"
    for line, why in (("Adam_Beach 3", "1, 2 or 4"), ("Adam_Beach", "1, 2 or 4"), ("Aamir_Khan 1", "listed already")):
        path.write_text(f"Aamir_Khan 4 \n\n{line}\n")
        with pytest.raises(DataError, match=rf"identity_splits\.txt, line 3.*{why}"):
            read_identity_splits(path)


def test_what_is_not_there_is_said(copy, tmp_path):
    with pytest.raises(
        DatasetNotFoundError, match=r"(?s)VoxCeleb1 is not at .*no utterance.*Cocoxili/CMPC.*unzippedFaces/"
    ):
        load_table("shuu", tmp_path / "none")
    with pytest.raises(DataError, match=r"No voice of the 1 in .*other\.txt is there"):
        pair_tables(write_pairs(tmp_path / "other.txt", [pair(1, "Nobody", "Nobody")]), copy)
    with pytest.raises(DatasetNotFoundError, match=r"no identity_splits\.txt in nowhere.*CMPC"):
        load_table("shuu", copy, lists="nowhere")
    (copy / SEEN).unlink()
    with pytest.raises(DatasetNotFoundError, match="no veriflist_test_random_seenheard"):
        load_table("shuu", copy)
    (copy / "vox1_meta.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"no vox1_meta\.csv"):
        load_table("shuu", copy)
