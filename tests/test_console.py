"""Names, and what others say, reach terminals and logs as text that does nothing."""

import io
import logging
import pickle
import warnings

import pytest

from counterpoint import cli
from counterpoint._console import console, guard_logging
from counterpoint._progress import ProgressDisplay
from counterpoint.commands.terminal import print_skipped, table
from counterpoint.data.cache.decode_worker import decode
from counterpoint.data.cache.shards import Key
from counterpoint.errors import (
    CounterpointError,
    DataError,
    DatasetNotFoundError,
    MediaError,
    one_line,
    printable,
    quoted,
)
from counterpoint.experiments.process_pool import ERROR, Pool
from counterpoint.media.spec import MediaSpec
from counterpoint.report.table import Column, Table
from pool_tasks import Task

# Clears the screen, sets the title, rings, goes back over the line, turns the direction of text, in 8-bit form too.
BITING = "\x1b[2J\x1b]0;title\x07 \r\b \x9b31m \u202egnp.exe\u2066 \u2028 \udc9b [red]x[/red] [/x]"
ACTING = set(BITING) - set(printable(BITING))


def harmless(text: str) -> bool:
    return not ACTING & set(text)


def test_what_acts_on_a_terminal_is_written_out():
    assert len(ACTING) == 9, sorted(ACTING)
    assert printable(BITING).startswith(
        r"\x1b[2J\x1b]0;title\x07 \r\x08 \x9b31m \u202egnp.exe\u2066 \u2028 \udc9b [red]"
    )
    fine = "Grüße, 日本語\u3000ع, e\u0301, 👩\u200d🔬\tand\nso on"  # a joiner makes one picture of two
    assert printable(fine) == fine
    assert one_line(" a\n\n b\x1b " + "long " * 1000).startswith(r"a b\x1b long") and len(one_line("x" * 10**6)) < 450


@pytest.mark.parametrize("kind", [CounterpointError, DataError, DatasetNotFoundError])
def test_errors_are_harmless_and_short(kind):
    assert harmless(str(kind(f"{BITING}: no such class"))) and "no such class" in str(kind(f"{BITING}: no such class"))
    assert len(str(kind("x" * 120_000))) < 4500
    error = pickle.loads(pickle.dumps(MediaError(f"/clips/{BITING}.mp4", BITING)))
    assert harmless(str(error)) and error.reason == BITING  # the text itself is as it was


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_that_is_printed_acts(terminal, capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    into = console(force_terminal=terminal, width=500)
    shown = table(f"heading {BITING}", title=BITING)
    shown.add_row(BITING)
    for what in (BITING, f"Note: {BITING}", shown, Table(BITING, (Column(BITING, BITING),), [[BITING]])):
        into.print(what)
    print_skipped(into, {f"clip\n{BITING}": f"reason\n{BITING}"}, "all.csv")
    out = capsys.readouterr().out
    assert "[red]x[/red] [/x]" in out
    without_styles = out.replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\x1b[3m", "")
    assert harmless(without_styles)
    assert "\nreason" not in out and "\n\\x1b" not in out.split("skipped")[-1]


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_and_its_log(terminal, capsys, monkeypatch, tmp_path):
    if terminal:
        monkeypatch.setenv("TTY_INTERACTIVE", "1")
    with ProgressDisplay() as display:
        display.log = tmp_path / "log.txt"
        display.update(BITING, 1, 2, note=BITING)
        display.say(BITING)
    assert harmless(capsys.readouterr().err) and harmless(display.log.read_text())
    assert display.log.read_text().count("\n") == 2


def test_warnings_and_log_records(capsys):
    guard_logging()
    assert harmless(warnings.formatwarning(BITING, UserWarning, "x.py", 1))
    logging.lastResort.handle(logging.LogRecord("x", logging.WARNING, "x.py", 1, "read %s", (BITING,), None))
    err = capsys.readouterr().err
    assert harmless(err) and "read" in err


def test_the_command_line(capsys):
    assert cli.main([BITING]) == cli.main(["train", f"--{BITING}"]) == cli.main(["evaluate", f"run{BITING}"]) == 2
    assert harmless(capsys.readouterr().err)


def test_what_a_reader_raises_is_one_line():
    def read(*args, **options):
        raise ZeroDivisionError(f"several\nlines {BITING}" + "x" * 10**5)

    reason = decode(read, Key("/x", 1, 1, 0.0, None), MediaSpec(), ("audio",)).reason
    assert harmless(reason) and "\n" not in reason and len(reason) < 500


def raise_it(task: Task) -> None:
    raise ValueError(f"lines\n{BITING}")


def test_what_a_task_raises(tmp_path):
    with Pool(raise_it) as pool:
        (outcome,) = pool.run([Task(tmp_path, 0)])
    assert outcome.error is not None and harmless(outcome.error) and "\n" not in outcome.error
    assert harmless((tmp_path / ERROR).read_text())


def test_a_class_of_120_000_characters_makes_a_short_message(tmp_path, capsys):
    name = "a" * 120_000
    for folder in (tmp_path / "x", tmp_path / "y"):
        folder.mkdir()
        (folder / "one.mp4").write_bytes(b"no video")
    (tmp_path / "split.csv").write_text(f"clip,class,split\nx/one.mp4,{name},train\n")
    assert cli.main(["prepare", "--data.name=folder", f"--data.root={tmp_path}"]) == 2
    err = capsys.readouterr().err
    assert len(err) < 1000 and "characters)" in err
    assert len(quoted(name)) < 150


@pytest.mark.parametrize("columns", ["0", "10", "40", "59"])
@pytest.mark.parametrize("a_terminal", [False, True])
def test_no_window_is_so_narrow_that_figures_are_cut(columns, a_terminal, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    out = io.StringIO()
    made = console(file=out, force_terminal=a_terminal, color_system=None)
    names, figures = ("split", "clips", "Top-1", "mAP", "loss"), ("1234567", "100.0 %", "100.0 %", "1234.567")
    shown = table(*names, right=names[1:])
    shown.add_row("a long name of a method that says much " * 2, *figures)
    made.print(shown)
    made.print(report_table(figures))
    said = out.getvalue()
    assert all(said.count(figure) >= 2 * figures.count(figure) for figure in figures) and "…" not in said
    assert "".join(said.split()).count("method") == 3
    assert max(map(len, said.splitlines())) <= (60 if a_terminal else 80)


def report_table(figures):
    columns = [Column(f"Column {i}", "What it says.") for i in range(len(figures) + 1)]
    return Table("Results", tuple(columns), (("a long name of a method", *figures),))
