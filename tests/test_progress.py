"""Progress on standard error: bars at a terminal, lines elsewhere, and nothing where it is switched off."""

from types import SimpleNamespace

import pytest

from counterpoint import _progress
from counterpoint._progress import ProgressDisplay


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(_progress.time, "monotonic", lambda: now.seconds)
    return now


def test_a_line_per_note_with_the_time_left(capsys, clock):
    with ProgressDisplay() as display:
        for step in range(5):
            clock.seconds = 2.0 * step
            display.update("train", step, 8, "epoch 1/2" if step >= 4 else "")
    assert capsys.readouterr().err == "train 4/8, epoch 1/2, 0:00:08 left\n"


def test_a_slow_task_is_heard_of_every_half_minute(capsys, clock):
    with ProgressDisplay() as display:
        decode = display.callback("decode [b]")
        for done in range(11):
            clock.seconds = 10.0 * done
            decode(done, 10)
    assert capsys.readouterr().err.splitlines() == [
        "decode [b] 3/10, 0:01:10 left",
        "decode [b] 6/10, 0:00:40 left",
        "decode [b] 9/10, 0:00:10 left",
    ]


def test_sizes_are_told_as_such(capsys, clock):
    with ProgressDisplay(sizes=True) as display:
        for done, clock.seconds in ((0, 0.0), (1_500_000, 40.0)):
            display.update("s1.zip", done, 3_000_000)
    assert capsys.readouterr().err == "s1.zip 1.5 MB/3.0 MB, 0:00:40 left\n"


def test_nothing_is_shown_where_it_is_switched_off(capsys, clock):
    with ProgressDisplay(enabled=False) as display:
        display.update("train", 1, 2, "epoch 1/2")
        display.say("done")
        assert display.callback("train") is None and not display.draws
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("enabled", [True, False])
def test_all_lines_go_to_the_log(tmp_path, capsys, clock, enabled):
    log = tmp_path / "train.log"
    with ProgressDisplay(enabled) as display:
        display.say("before there is a log")
        display.log = log
        for epoch in (1, 2):
            display.update("train", epoch, 2, f"epoch {epoch}/2")
            assert f"train {epoch}/2, epoch {epoch}/2" in log.read_text().splitlines()[-1]  # not held back
        display.callback("decode")(1, 2)
        display.say("done")
    assert [line.split("  ")[1] for line in log.read_text().splitlines()] == [
        "train 1/2, epoch 1/2",
        "train 2/2, epoch 2/2",
        "done",
    ]
    assert bool(capsys.readouterr().err) is enabled


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path, clock):
    with ProgressDisplay(enabled=False) as display:
        display.log = tmp_path / "gone" / "train.log"
        display.say("done")


def test_no_escape_codes_off_a_terminal(capsys, clock, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with ProgressDisplay() as display:
        display.update("train", 1, 2, "epoch 1/2")
    assert capsys.readouterr().err == "train 1/2, epoch 1/2\n"
