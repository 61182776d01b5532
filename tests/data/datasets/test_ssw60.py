from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from counterpoint.data import load_table, prepare
from counterpoint.data.datasets.ssw60 import PARTS, read_list, read_taxa
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.media.encode import write_clip
from made_clips import pcm_file

BIRDS = ("Canada Goose", "Wood Duck", "Mallard")
VIDEO_COLUMNS = (
    "asset_id,label,split,fps,frame_count,duration_seconds,frame_height,frame_width,frame_channels,"
    "orginal_video_start_second,original_video_end_second,original_video_target_second,target_second,reliable_audio"
)
HEADERS = {
    "video_ml": VIDEO_COLUMNS,
    "audio_ml": "asset_id,label,split,samplerate,channels,samples,duration_seconds",
    "images_nabirds": "asset_id,label,split,height,width,channels,photographer",
    "images_inat": "asset_id,label,split,height,width,channels,rights_holder,license_id",
}
SUFFIXES = {"video_ml": "mp4", "audio_ml": "wav", "images_nabirds": "jpg", "images_inat": "jpg"}


def assets(part, per_class=8):
    """asset, label, split of a set; the pictures of iNaturalist alone have validation."""
    for label in range(len(BIRDS)):
        for k in range(per_class):
            split = "test" if k % 4 == 3 else "val" if part == "images_inat" and k % 4 == 2 else "train"
            yield f"{10 * label + k}{part[-2:]}", label, split


def archive(root):
    """As it unpacks; listing opens no media, so that empty files will do."""
    root.mkdir(exist_ok=True)
    taxa = ["label,species_code,inat_taxon_id,inat2021_label,nabirds_labels,common_name,scientific_name,family,order"]
    for label, name in reversed(list(enumerate(BIRDS))):  # the order of lines says nothing
        taxa.append(f'{label},x,1,2,3 4,{name},Avis,"Anatidae (Ducks, Geese, and Waterfowl)",Anseriformes')
    (root / "taxa.csv").write_text("\n".join(taxa) + "\n")
    for part, header in HEADERS.items():
        (root / part).mkdir(exist_ok=True)
        spare = header.count(",") - 3
        lines = [header]
        for k, (asset, label, split) in enumerate(assets(part)):
            lines.append(f"{asset},{label},{split}," + "1," * spare + str(k % 2))
            (root / part / f"{asset}.{SUFFIXES[part]}").touch()
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def all_parts(tmp_path_factory):
    return archive(tmp_path_factory.mktemp("ssw60") / "ssw60")


def test_videos_by_the_given_split(all_parts):
    table = load_table("ssw60", all_parts)
    assert table.name == "ssw60/species" and table.classes == BIRDS and not table.rejected
    assert Counter(clip.split for clip in table.clips) == {"train": 15, "val": 3, "test": 6}
    listed = {f"video_ml/{asset}": (label, split) for asset, label, split in assets("video_ml")}
    for clip in table.clips:
        label, split = listed[clip.id]
        assert clip.label == label and (clip.split == "test") == (split == "test")
        assert clip.path == all_parts / f"{clip.id}.mp4"
    assert (table.media.seconds, table.media.sample_rate, table.media.channels) == (10.0, 16000, 3)
    assert not any("Unpaired" in note for note in table.notes) and not table.shared_groups()
    assert not [clip for clip in load_table("ssw60", all_parts, val=0).clips if clip.split == "val"]


def test_reliable_audio_alone(all_parts):
    table = load_table("ssw60", all_parts, reliable_audio=True)
    assert len(table.clips) == 12 and "Left out: 12 videos whose sound is not marked as reliable." in table.notes


def test_reliable_audio_that_no_video_has(tmp_path):
    root = archive(tmp_path)
    path = root / "video_ml.csv"
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head, *(line.rpartition(",")[0] + ",0" for line in lines)]))
    with pytest.raises(DataError, match=r"video_ml\.csv: none of the 24 videos has audio that is marked as reliable"):
        load_table("ssw60", root, reliable_audio=True)
    path.write_text("\n".join(line.rpartition(",")[0] for line in [head, *lines]))
    with pytest.raises(DataError, match=r"video_ml\.csv, line 2, column 'reliable_audio': is missing"):
        load_table("ssw60", root, reliable_audio=True)
    assert len(load_table("ssw60", root).clips) == 24


@pytest.mark.parametrize(
    ("part", "counts", "has"),
    [
        ("audio", {"train": 15, "val": 3, "test": 6}, "Unpaired sound, without visual"),
        ("images_nabirds", {"train": 15, "val": 3, "test": 6}, "Unpaired pictures, without audio"),
        ("images_inat", {"train": 12, "val": 6, "test": 6}, "Unpaired pictures, without audio"),
        ("images", {"train": 30, "val": 6, "test": 12}, "Unpaired pictures, without audio"),
    ],
)
def test_unpaired_parts(part, counts, has, all_parts):
    table = load_table("ssw60", all_parts, part=part)
    assert table.name == f"ssw60/species/{part}" and table.classes == BIRDS
    assert Counter(clip.split for clip in table.clips) == counts
    assert {clip.path.parent.name for clip in table.clips} == set(PARTS[part])
    assert any(has in note for note in table.notes)


def test_missing_files_are_refused(tmp_path):
    root = archive(tmp_path / "ssw60")
    (root / "video_ml" / "3ml.mp4").unlink()
    (root / "video_ml" / "10ml.mp4").unlink()
    table = load_table("ssw60", root)
    assert table.rejected == {
        "video_ml/3ml": "video_ml.csv lists it for test, but video_ml/3ml.mp4 is missing",
        "video_ml/10ml": "video_ml.csv lists it for train, but video_ml/10ml.mp4 is missing",
    }
    assert "Missing files: 1 test, 1 train." in table.notes


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("9,3,train,1", "line 2, column 'label': 3 is no label, 0 to 2"),
        ("9,-1,train,1", "line 2, column 'label': '-1' is not an int of 0 or more"),
        ("9,1,tset,1", "line 2, column 'split': 'tset' is no split. Did you mean 'test'"),
        ("../9,1,test,1", "line 2, column 'asset_id': '../9' is no name of a file"),
        (",1,test,1", "line 2, column 'asset_id'"),
        ("9,1,test", "line 2: 3 cells"),
        ("9,1,test,1\n9,1,train,1", "line 3, column 'asset_id': 9 is listed already, in line 2"),
    ],
)
def test_lines_that_do_not_fit(line, why, tmp_path):
    path = tmp_path / "audio_ml.csv"
    path.write_text(f"asset_id,label,split,samples\n{line}\n")
    with pytest.raises(DataError, match=rf"audio_ml\.csv, {why}"):
        read_list(path, 3)
    with pytest.raises(DataError, match="Did you mean 'audio_ml'"):
        read_list(path.rename(tmp_path / "audio_mp.csv"))
    path.write_text("asset_id,label,split\n")
    with pytest.raises(DataError, match=r"audio_ml\.csv lists nothing"):
        read_list(path, 3)
    path.write_text("")
    with pytest.raises(DataError, match="must be asset_id,label,split,samplerate,"):  # the unnamed column is left out
        read_list(path, 3)


def test_taxa_that_do_not_fit(tmp_path):
    path = tmp_path / "taxa.csv"
    for text, why in (
        ("label,common_name\n0,A\n2,B\n", r"0, 1, 2 ... without a gap; found \[0, 2\]"),
        ("label,common_name\n0,A\n0,B\n", "line 3, column 'label': 0 is listed twice"),
        ("label,common_name\n0,A\n1,A\n", "line 3, column 'common_name': is listed twice"),
        ("label,common_name\n0,\n", "line 2, column 'common_name': is empty"),
        ("label,common_name\n", "without a gap"),
        ("label,comon_name\n", "Did you mean 'common_name'"),
        ("version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=why):
            read_taxa(path)


def test_what_is_not_there_is_said(tmp_path, all_parts):
    with pytest.raises(DatasetNotFoundError, match=r"(?s)there is no taxa.csv.*visipedia/ssw60.*audio_ml/45516191.wav"):
        load_table("ssw60", tmp_path)
    root = archive(tmp_path / "ssw60")
    (root / "images_inat.csv").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"there is no images_inat\.csv"):
        load_table("ssw60", root, part="images")
    for clip in (root / "audio_ml").iterdir():
        clip.unlink()
    with pytest.raises(DatasetNotFoundError, match="None of the 24 files listed for audio"):
        load_table("ssw60", root, part="audio")
    for options, why in (
        ({"part": "vidoe"}, "Did you mean 'video'"),
        ({"part": "audio", "reliable_audio": True}, "true for videos alone"),
        ({"reliable_audio": 1}, "reliable_audio is 1"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_table("ssw60", all_parts, **options)


def test_each_part_is_decoded_with_what_it_has(tmp_path):
    root = archive(tmp_path / "ssw60")
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    for path in (root / "video_ml").iterdir():
        write_clip(path, tone.astype(np.float32), np.full((5, 16, 16, 3), 90, np.uint8), fps=5, sample_rate=8000)
    for path in (root / "audio_ml").iterdir():
        pcm_file(path, tone[None], rate=8000)
    for path in (root / "images_inat").iterdir():
        Image.new("RGB", (40, 30), (200, 100, 50)).save(path)
    for part, modalities in (("video", ("audio", "visual")), ("audio", ("audio",)), ("images_inat", ("visual",))):
        table = load_table("ssw60", root, part=part)
        spec = replace(table.media, sample_rate=8000, seconds=1.0, size=8)
        prepared = prepare(table, spec, cache=tmp_path / "cache", jobs=0, modalities=modalities)
        item = prepared.split("train")[0]
        assert not prepared.skipped and set(item) == {*modalities, "target", "index"}
        if part == "images_inat":
            assert item["visual"].shape == (1, 8, 8, 3)
            assert item["visual"].float().mean((0, 1, 2)).tolist() == pytest.approx([200, 100, 50], abs=4)
        if part == "audio":
            assert item["audio"].float().square().mean().sqrt() / 32768 == pytest.approx(0.5 / 2**0.5, rel=0.02)
    with pytest.raises(DataError, match="cannot be used"):  # both are asked of what has one
        prepare(load_table("ssw60", root, part="audio"), spec, cache=tmp_path / "other", jobs=0)
