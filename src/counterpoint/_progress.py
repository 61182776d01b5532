"""Progress on standard error: bars at a terminal, lines where it is none; and the lines in a file of the run."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from counterpoint._console import console
from counterpoint.errors import one_line, printable

_EVERY = 30.0  # seconds from one line of a slow task to the next


@dataclass
class _Task:
    began: float
    first: int
    told: float
    note: str
    bar: TaskID | None = None


class ProgressDisplay:
    """A bar for every task, with how much is done and the time left; where standard error is no terminal, lines.

    A line is written, and flushed, when a task's note changes, and of a task that takes long every half a minute.

    Args:
        enabled: False shows nothing.
        sizes: counts are bytes.
        transient: bars are taken away at the end.

    Attributes:
        log: a file to which all lines go as well, each with the time, at a terminal and where nothing is shown too;
            None: to none. Its folder must be there.
    """

    def __init__(self, enabled: bool = True, *, sizes: bool = False, transient: bool = False) -> None:
        self.enabled = enabled
        self.log: Path | None = None
        self._count: Callable[[int], str] = decimal if sizes else str
        self._console = console(stderr=True)
        # FORCE_COLOR makes rich take a file for a terminal.
        self.draws = enabled and self._console.is_terminal and self._console.file.isatty()
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[count]}", markup=False),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=not self.draws,
            transient=transient,
            refresh_per_second=4,
            speed_estimate_period=300,  # epochs may take minutes
        )
        self._tasks: dict[str, _Task] = {}

    def __enter__(self) -> ProgressDisplay:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def update(self, name: str, done: int, total: int, note: str = "") -> None:
        """Show how far the task of that name is; it appears with its first update.

        Args:
            name: of the task.
            done: how much of it is done.
            total: how much there is to do.
            note: what else is to be said of it.
        """
        if not self.enabled and self.log is None:
            return
        now = time.monotonic()
        task = self._tasks.setdefault(name, _Task(now, done, now, ""))
        count = f"{self._count(done)}/{self._count(total)}"
        if self.draws:
            state: Any = {"completed": done, "total": total, "note": note, "count": count}
            if task.bar is None:
                task.bar = self._bars.add_task(one_line(name), **state)
            self._bars.update(task.bar, **state)
        if note != task.note or now - task.told >= _EVERY:
            left = (now - task.began) * (total - done) / max(1, done - task.first)
            ahead = f", {timedelta(seconds=round(left))} left" if task.first < done < total else ""
            line = f"{one_line(name)} {count}{f', {note}' if note else ''}{ahead}".lstrip()
            self.record(line) if self.draws else self.say(line)
            task.told, task.note = now, note

    def remove(self, name: str) -> None:
        """Take the task of that name away."""
        task = self._tasks.pop(name, None)
        if task is not None and task.bar is not None:
            self._bars.remove_task(task.bar)

    def say(self, line: str) -> None:
        """Print a line, above the bars if there are any."""
        if self.enabled:
            self._console.print(line, soft_wrap=not self.draws)
        self.record(line)

    def record(self, line: str) -> None:
        """Write a line into the log alone."""
        # It is opened each time, so that whoever removes or fills its folder ends no work by it.
        if self.log is not None:
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {printable(line)}\n")

    def callback(self, name: str) -> Callable[[int, int], None] | None:
        """A function of (done, total) that updates the task of that name; None where nothing is shown."""
        return functools.partial(self.update, name) if self.enabled or self.log is not None else None
