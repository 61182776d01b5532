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
