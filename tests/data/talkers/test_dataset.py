import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from counterpoint.data import load_table
from counterpoint.data.clip_table import ClipTable
from counterpoint.data.talkers import BACKGROUND, SYLLABLES, clip_facts, render, talkers
from counterpoint.data.talkers.plan import Settings, make_plan
from counterpoint.errors import ConfigError, DataError
from counterpoint.media.decode import read_clip

SMALL = {"speakers": 4, "clips": 12, "jobs": 1}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ClipTable:
    return load_table("talkers", tmp_path_factory.mktemp("talkers"), **SMALL)


def assert_same_clips(one: ClipTable, two: ClipTable) -> None:
    """Equal sound, and pictures that differ by less than the coder may between runs (the noise is 13 levels)."""
    assert [c.id for c in one.clips] == [c.id for c in two.clips]
    for a, b in zip(one.clips, two.clips, strict=True):
        first, second = read_clip(a.path, one.media), read_clip(b.path, two.media)
        assert first.audio is not None and first.visual is not None and second.visual is not None
        np.testing.assert_array_equal(first.audio, second.audio)
        assert np.abs(first.visual.astype(float) - second.visual).mean() < 6


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_table(table: ClipTable) -> None:
    assert table.name == "talkers/syllable"
    assert table.classes == SYLLABLES
    assert len(table.clips) == 12
    assert table.shared_groups() == set()
    assert {c.split for c in table.clips} == {"train", "val", "test"}
    assert any("ynthetic" in note for note in table.notes)
    assert any("0.6" in note for note in table.notes)
    for clip in table.clips:
        assert clip.path.is_file()
        assert clip.path.stem == clip.id
        assert clip.id.endswith(table.classes[clip.label])
    assert sorted(p.suffix for p in table.clips[0].path.parent.iterdir()) == [".json"] * 2 + [".mp4"] * 12


def test_files_say_what_was_composed(table: ClipTable) -> None:
    settings = Settings(speakers=4, clips=12)
    for plan in make_plan(settings)[:4]:
        clip = table.clips[plan.index]
        read = read_clip(clip.path, table.media)
        scene = render.compose(plan, settings)
        assert read.audio is not None and read.visual is not None
        assert read.audio.shape == (table.media.num_samples,)
        assert read.visual.shape == (28, 40, 40, 1)
        sound = read.audio.astype(float)
        # Coding costs accuracy, but no delay: the best alignment is within 2 ms.
        lags = range(-160, 161, 8)
        match = [np.corrcoef(np.roll(sound, -lag)[200:-200], scene.audio[200:-200])[0, 1] for lag in lags]
        assert abs(lags[int(np.argmax(match))]) <= 32
        assert max(match) > 0.9
        luma = scene.frames[:, 24:64, 12:52].astype(float) @ [0.299, 0.587, 0.114]
        seen = read.visual[..., 0].astype(float)
        errors = [np.abs(seen[k] - luma[k]).mean() for k in range(28)]
        assert np.mean(errors) < 15
        later = [np.abs(seen[k] - luma[(k + 3) % 28]).mean() for k in range(28)]
        assert np.mean(errors) < np.mean(later)


def test_second_call_renders_nothing(table: ClipTable) -> None:
    root = table.clips[0].path.parents[1]
    before = {p: p.stat().st_mtime_ns for p in table.clips[0].path.parent.glob("*.mp4")}
    calls: list[tuple[int, int]] = []
    again = load_table("talkers", root, progress=lambda *done: calls.append(done), **SMALL)
    assert again == table
    assert calls == []
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_cut_off_rendering_is_continued_and_equal(table: ClipTable, tmp_path: Path) -> None:
    first = load_table("talkers", tmp_path, **SMALL)
    folder = first.clips[0].path.parent
    whole = files(folder)
    assert whole == files(table.clips[0].path.parent)
    assert_same_clips(first, table)
    for clip in first.clips[::3]:
        clip.path.unlink()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = render._scratch(folder, ended.pid)  # as a killed renderer leaves it
    left.mkdir()
    (left / "half.mp4").write_bytes(b"half")
    calls: list[tuple[int, int]] = []
    load_table("talkers", tmp_path, progress=lambda *done: calls.append(done), **SMALL)
    assert calls == [(k, 4) for k in range(1, 5)]
    assert files(folder) == whole
    assert_same_clips(first, table)


def test_failure_leaves_no_partial_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compose = render.compose

    def fail(plan: object, settings: object) -> object:
        if plan.index == 5:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return compose(plan, settings)  # type: ignore[arg-type]

    monkeypatch.setattr(render, "compose", fail)
    with pytest.raises(KeyboardInterrupt):
        talkers(tmp_path, **SMALL)
    (folder,) = tmp_path.iterdir()
    assert len(list(folder.glob("*.mp4"))) == 5
    assert not [p for p in folder.iterdir() if p.is_dir()]
    monkeypatch.undo()
    assert all(clip.path.exists() for clip in talkers(tmp_path, **SMALL).clips)


def test_several_processes_and_two_renderers_at_once(
    table: ClipTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_WORTH_A_PROCESS", 2)
    options = {**SMALL, "jobs": 2}
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(2) as pool:
        both = [
            pool.submit(load_table, "talkers", tmp_path, progress=lambda *done: seen.append(done), **options)
            for _ in range(2)
        ]
        tables = [each.result() for each in both]
    assert tables[0] == tables[1]
    assert files(tables[0].clips[0].path.parent) == files(table.clips[0].path.parent)
    assert_same_clips(tables[0], table)
    assert max(seen)[0] >= 12


def test_worker_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "_WORTH_A_PROCESS", 2)
    monkeypatch.setattr(render, "write_json", lambda path, values, shared: path.write_text("{"))
    with pytest.raises(DataError, match=r"(?s)failed.*settings.json"):
        talkers(tmp_path, **{**SMALL, "jobs": 2})


def test_settings_stand_beside_the_clips(table: ClipTable) -> None:
    folder = table.clips[0].path.parent
    assert render.read_settings(folder) == Settings(speakers=4, clips=12)
    assert json.loads((folder / "settings.json").read_text())["audio_snr_db"] == Settings.audio_snr_db


def test_facts_of_syllables(tmp_path: Path) -> None:
    table = talkers(tmp_path, visual_dropout=0.5, **SMALL)
    facts = clip_facts(table)
    assert set(facts) == {c.id for c in table.clips}
    for clip in table.clips:
        fact = facts[clip.id]
        assert fact.label == table.classes[clip.label]
        assert fact.segments == fact.heard == fact.seen == (fact.label,)
        assert fact.speaker == clip.group
    assert sum(f.mouth_hidden for f in facts.values()) in (5, 6, 7)


def test_event(tmp_path: Path) -> None:
    table = load_table("talkers", tmp_path, "event", speakers=3, clips=3, jobs=1)
    assert table.name == "talkers/event"
    facts = clip_facts(table)
    for clip in table.clips:
        read = read_clip(clip.path, table.media)
        assert read.audio is not None and read.audio.shape == (76_800,)
        assert read.visual is not None and read.visual.shape == (120, 40, 40, 1)
        fact = facts[clip.id]
        assert set(fact.segments) == {fact.label, BACKGROUND}
        for segment, heard, seen in zip(fact.segments, fact.heard, fact.seen, strict=True):
            assert (segment == fact.label) == (heard == seen == fact.label)


def test_background_clips(tmp_path: Path) -> None:
    table = load_table("talkers", tmp_path, "event", speakers=3, clips=6, jobs=1, background_clips=0.5)
    assert table.events is not None
    assert [clip.split for clip in table.clips if clip.label == table.background] == ["train", "val", "test"]
    facts = clip_facts(table)
    assert set(facts) == {c.id for c in table.clips}
    for clip in table.clips:
        assert clip.path.is_file()
        assert (clip.label == table.background) == (table.events[clip.id] == ())
        assert facts[clip.id].label == (*SYLLABLES, BACKGROUND)[clip.label]
        assert (set(facts[clip.id].segments) == {BACKGROUND}) == (clip.label == table.background)
    plain = {p.id: p for p in make_plan(Settings("event", speakers=3, clips=6))}
    held = [clip for clip in table.clips if clip.id in plain]
    assert len(held) == 3
    for clip in held:
        scene, read = render.compose(plain[clip.id], Settings("event")), read_clip(clip.path, table.media)
        assert read.audio is not None
        assert np.corrcoef(read.audio, scene.audio)[0, 1] > 0.9
    assert "0.5 holds no event" in table.notes[-1]
    assert render.read_settings(table.clips[0].path.parent).background_clips == 0.5


def test_facts_of_something_else(table: ClipTable, tmp_path: Path) -> None:
    clip = table.clips[0]
    other = ClipTable("folder", ("a",), (type(clip)("x", tmp_path / "x.mp4", 0, "train"),), table.media)
    with pytest.raises(DataError, match="only talkers"):
        clip_facts(other)


def test_bad_dials_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="visual_dropout"):
        load_table("talkers", tmp_path, visual_dropout=2)
    with pytest.raises(ConfigError, match="background_clips is 0.5, but in the task 'syllable'"):
        load_table("talkers", tmp_path, background_clips=0.5)
    with pytest.raises(ConfigError, match="Did you mean 'audio_snr_db'"):
        load_table("talkers", tmp_path, audio_snr=2)
    assert not list(tmp_path.iterdir())


def test_default_place_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path))
    table = load_table("talkers", speakers=3, clips=3, jobs=1)
    assert table.clips[0].path.is_relative_to(tmp_path / "datasets" / "talkers")
