"""What `counterpoint prepare` says of clips, and the list that it writes of those that cannot be used."""

import csv

import pytest

from counterpoint.cli import main
from tiny_clips import write_tiny_clips

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
MEDIA = '{"sample_rate": 16000, "seconds": 0.25, "fps": 10, "size": 16}'


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Clips of two classes, 4 to train, 2 each to validate and to test; prepares them, some of them spoilt."""
    monkeypatch.setenv("COUNTERPOINT_CACHE", str(tmp_path / "cache"))
    root = write_tiny_clips(tmp_path / "clips", per_split={"train": 4, "val": 2, "test": 2})

    def run(spoilt, *words):
        for k, name in enumerate(spoilt):
            (root / name).write_text(POINTER if k % 2 else "no video, but called one")
        code = main(["prepare", "--data.name=folder", f"--data.root={root}", f"--data.media={MEDIA}", *words])
        said = capsys.readouterr()
        return code, " ".join((said.out + said.err).split())

    return run


CLASS = [f"low/{k:03d}.mp4" for k in range(4)]
SPLIT = [f"{name}/{k:03d}.mp4" for name in ("high", "low") for k in (4, 5)]
ALL = [f"{name}/{k:03d}.mp4" for name in ("high", "low") for k in range(8)]


@pytest.mark.parametrize(
    ("spoilt", "words", "told"),
    [
        (CLASS[:2], (), "2 of 16 clips (12.5%) cannot be used, more than max_bad = 5.0% allows"),
        (CLASS, ("--data.max_bad=0.5",), "no clip of class 'low' in training can be read; there are 4"),
        (SPLIT, ("--data.max_bad=0.5",), "no clip of the val split can be read; there are 4"),
        (ALL, ("--data.max_bad=1",), "16 of 16 clips (100.0%) cannot be used, none is left"),
    ],
)
def test_the_list_of_bad_clips_is_written_whatever_is_refused(call, tmp_path, spoilt, words, told):
    code, said = call(spoilt, *words, f"--output={tmp_path / 'aside.csv'}")
    assert code == 2 and told in said
    assert f"{len(spoilt) // 2} x " in said and "Git LFS" in said  # the reasons are counted
    assert "aside.csv" in said
    with (tmp_path / "aside.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["clip"] for row in rows} == set(spoilt) and all(row["reason"] for row in rows)


def test_the_option_is_named_and_what_it_takes_will_do(call):
    code, said = call(CLASS[:2])
    assert code == 2 and "To go without them: --data.max_bad 0.13" in said and "prepare --output FILE" in said
    code, said = call(CLASS[:2], "--data.max_bad=0.13")
    assert code == 0 and "2 skipped" in said


def test_what_was_cut_and_skipped_is_said(call):
    code, said = call(CLASS[:1], "--data.max_bad=0.1")
    assert code == 0
    assert "15 of 15 clips cut to 0.25 s; 50.0 % of all seconds; --data.media.seconds" in said
    assert "1 of 16 clips skipped: " in said and "; --data.max_bad" in said
