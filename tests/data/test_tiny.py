"""Tiny copies of the datasets are read by the very functions that read the real ones."""

import numpy as np
import pytest

from counterpoint.data import SPLITS, PreparedFeatures, load_table, prepare
from counterpoint.data.datasets.shuu import pair_tables
from counterpoint.data.splits.leaks import find_leaks, split_of
from counterpoint.data.tiny import TINY, write_tiny
from counterpoint.data.trials import read_trials
from counterpoint.errors import UnknownNameError
from counterpoint.media.spec import MediaSpec

SPEC = MediaSpec(sample_rate=16000, seconds=0.5, frames=2, size=16)
OPTIONS = {"cremad": {"split": "lists"}}
LACK_SIGHT_OR_SOUND = {"cremad": "VideoFlash", "voxceleb": "mp4", "shuu": "unzippedFaces"}  # sound lies apart


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return {name: write_tiny(name, folder / name) for name in TINY}


@pytest.mark.parametrize("name", TINY)
def test_everything_is_read_and_nothing_set_aside(name, roots, tmp_path):
    table = load_table(name, roots[name], **OPTIONS.get(name, {}))
    assert not table.rejected
    for split in SPLITS:
        assert len(table.split(split)) >= len(SPLITS)
    trained_on = {clip.label for clip in table.split("train")}
    assert trained_on == {clip.label for clip in table.clips} and len(trained_on) >= 2
    if table.features is not None:
        prepared = PreparedFeatures(table, check=True, cache=tmp_path)
        background = {table.background} if name == "ave" else set()
        assert not prepared.skipped
        assert set(prepared.split("train").targets.flatten().tolist()) == {0, 1, 2} | background
        return
    prepared = prepare(table, SPEC, cache=tmp_path, jobs=0, max_bad=0)
    assert prepared.decoded == len(table.clips)
    if where := LACK_SIGHT_OR_SOUND.get(name):
        assert all(where in clip.path.parts and clip.audio is not None for clip in table.clips)
    data = prepared.split("train")
    batch = data.batch(range(len(data)))
    sound, sight, label = (batch[key].numpy() for key in ("audio", "visual", "target"))
    assert (sound.astype(float).std(1) > 1000).all()
    pitch = np.abs(np.fft.rfft(sound.astype(float))).argmax(1)
    level = sight.reshape(len(sight), -1).mean(1)
    for low, high in ((0, 1), (1, max(trained_on))):  # the class can be heard and seen
        if low < high:
            assert pitch[label == low].max() < pitch[label == high].min()
            assert level[label == low].max() < level[label == high].min()


@pytest.mark.parametrize("name", ["shuu", "ssw60", "vggsound", "voxceleb"])
def test_nothing_stands_on_two_sides(name, roots):
    assert not find_leaks(split_of(load_table(name, roots[name]))).leaks


def test_trials_and_pairs_are_all_there(roots):
    root = roots["voxceleb"]
    for name in ("veri_test.csv", "test_pairs.csv"):
        trials = read_trials(root / name)
        assert 0 < trials.target.sum() < len(trials)
        table = load_table("voxceleb", root, trials=str(root / name))
        assert {clip.id for clip in table.clips} == set(trials.utterances) and not table.rejected
    for kind in ("seenheard", "unseenunheard"):
        tables = pair_tables(roots["shuu"] / f"veriflist_test_random_{kind}.txt", roots["shuu"])
        there = {clip.id for table in (tables.voices, tables.faces) for clip in table.clips}
        assert there == set(tables.pairs.utterances) and 0 < tables.pairs.target.sum() < len(tables.pairs)


def test_equal_calls_give_equal_files(roots, tmp_path):
    again = write_tiny("cremad", tmp_path)
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(roots["cremad"]) for path in roots["cremad"].rglob("*") if path.is_file())
    assert all((again / file).read_bytes() == (roots["cremad"] / file).read_bytes() for file in files)


def test_an_unknown_dataset_gets_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="no tiny copy of 'ssw6'. Did you mean 'ssw60'"):
        write_tiny("ssw6", tmp_path)
    assert not list(tmp_path.iterdir())
