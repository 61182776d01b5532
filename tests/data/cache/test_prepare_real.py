"""From real media files to batches: clips that the test writes itself, and GRID where it is at hand."""

import numpy as np
import pytest
import torch

from counterpoint.data import Clip, ClipTable, load_table, prepare
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from shared_data import GRID, HARD_CLIPS, needs_shared_data

SPEC = MediaSpec(sample_rate=8000, seconds=0.8, fps=10, size=16, gray=False)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of one's own with two classes: a low tone and a dark picture, a high tone and a bright one."""
    root = tmp_path_factory.mktemp("media") / "clips"
    time = np.arange(8000) / 8000
    for label, tone, level in (("dark", 200, 60), ("light", 900, 180)):
        (root / label).mkdir(parents=True)
        for k in range(8):
            frames = np.full((10, 32, 32, 3), level + 4 * k, np.uint8)
            sound = (0.3 * np.sin(2 * np.pi * tone * time)).astype(np.float32)
            write_clip(root / label / f"{k}.mp4", sound, frames, fps=10, sample_rate=8000)
    return root


def test_a_folder_of_media_becomes_batches(written, tmp_path):
    prepared = prepare(load_table("folder", written, test=0.25), SPEC, cache=tmp_path, jobs=2)
    assert not prepared.skipped and prepared.decoded == 16
    for split, size in (("train", 10), ("val", 2), ("test", 4)):
        data = prepared.split(split)
        batch = data.batch(range(len(data)))
        assert batch["audio"].shape == (size, 6400) and batch["visual"].shape == (size, 8, 16, 16, 3)
        levels = batch["visual"].float().mean((1, 2, 3, 4))
        expected = torch.tensor([(60, 180)[c.label] + 4 * int(c.path.stem) for c in data.clips], dtype=torch.float)
        assert (levels - expected).abs().max() < 6
        peaks = torch.fft.rfft(batch["audio"].float()).abs().argmax(1) * 8000 / 6400
        assert (peaks - torch.tensor([(200.0, 900.0)[c.label] for c in data.clips])).abs().max() < 5
    assert prepare(load_table("folder", written, test=0.25, seed=3), SPEC, cache=tmp_path).decoded == 0


def test_damaged_copies_are_each_accounted_for(written, tmp_path):
    rng = np.random.default_rng(0)
    originals = sorted(written.rglob("*.mp4"))
    clips = []
    for k in range(45):
        data = bytearray(originals[k % len(originals)].read_bytes())
        if k % 3 == 0:
            for place in rng.integers(0, len(data), 1 + k):
                data[place] ^= 1 + int(rng.integers(255))
        elif k % 3 == 1:
            del data[int(rng.integers(len(data))) :]
        else:
            start = int(rng.integers(len(data)))
            data[start : start + 300] = bytes(len(data[start : start + 300]))
        path = tmp_path / f"{k:02}.mp4"
        path.write_bytes(data)
        clips.append(Clip(path.stem, path, 0, "train"))
    table = ClipTable("damaged", ("any",), tuple(clips), SPEC)
    prepared = prepare(table, cache=tmp_path / "c", jobs=2, max_bad=1.0, timeout=60)
    read = [clip.id for clip in prepared.clips("train")]
    assert len(read) + len(prepared.skipped) == 45 and not set(read) & prepared.skipped.keys()
    assert read and prepared.skipped and all(prepared.skipped.values())
    assert not any("unexpected" in reason for reason in prepared.skipped.values())
    assert len(prepared.split("train").batch(range(len(read)))["audio"]) == len(read)


@needs_shared_data
@pytest.mark.parametrize("segment", [False, True])
def test_grid_face_crops(tmp_path, segment):
    table = load_table("grid", GRID, "digit", segment=segment)
    few = [clip for clip in table.clips if clip.path.stem[:3] in ("bba", "sww", "lgb")]
    prepared = prepare(ClipTable(table.name, table.classes, tuple(few), table.media), cache=tmp_path)
    assert not prepared.skipped and len(few) > 20
    batch = prepared.split("train").batch(range(8))
    seconds = 0.8 if segment else 3.0
    assert batch["audio"].shape == (8, round(16000 * seconds))
    assert batch["visual"].shape == (8, round(25 * seconds), 48, 48, 1)
    if segment:  # the window holds speech: far louder than the clip's silence before it
        assert batch["audio"].float().square().mean().sqrt() > 300
    motion = batch["visual"].float().diff(dim=1).abs().mean()
    assert 0.5 < motion < 30  # lips move, and frames follow one another


@needs_shared_data
def test_grid_official_files(tmp_path):
    table = load_table("grid", GRID / "official", "digit", val=0, test=0)
    prepared = prepare(table, cache=tmp_path)
    batch = prepared.split("train").batch(range(11))
    assert not prepared.skipped and batch["visual"].shape == (11, 75, 48, 48, 1)
    assert batch["audio"].float().square().mean(1).sqrt().min() > 100


@needs_shared_data
def test_hard_clips_end_in_arrays_or_reasons(tmp_path):
    paths = sorted(path for path in HARD_CLIPS.iterdir() if path.is_file())
    clips = tuple(Clip(path.name, path, 0, "train") for path in paths)
    prepared = prepare(ClipTable("hard", ("any",), clips, SPEC), cache=tmp_path, max_bad=1.0, modalities=["visual"])
    assert len(prepared.clips("train")) + len(prepared.skipped) == len(paths)
    assert not any("unexpected" in r or "crashed" in r or "longer" in r for r in prepared.skipped.values())
