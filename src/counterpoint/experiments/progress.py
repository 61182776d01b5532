"""What the terminal shows while a comparison runs: one bar for all runs, and one for each that is under way."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from counterpoint.experiments.worker import RunTask
from counterpoint.training.run_dir import METRICS

_INTERVAL = 0.5  # seconds between looks at the run folders


class Watch:
    """Progress on standard error; where that is no terminal, a line for each run that ends.

    The epochs of runs under way are read off their ``metrics.csv``, which works alike for this process and for workers.

    Args:
        total: how many runs there will be.
        enabled: False shows nothing.
    """

    def __init__(self, total: int, enabled: bool = True) -> None:
        self._console = Console(stderr=True)
        self._enabled = enabled
        self._began: dict[Path, float] = {}
        self._tasks: dict[Path, tuple[TaskID, RunTask]] = {}
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not (enabled and self._console.is_terminal),
            transient=True,
            refresh_per_second=4,
        )
        self._all = self._bars.add_task("all runs", total=total, unit="runs")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._bars.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._bars.stop()

    def started(self, task: RunTask) -> None:
        """A run begins, or is taken up again."""
        self._began[task.folder] = time.perf_counter()
        with self._lock:
            bar = self._bars.add_task(escape(f"  {task.label}"), total=task.config.epochs, unit="epochs")
            self._tasks[task.folder] = (bar, task)

    def ended(self, task: RunTask, found: str) -> None:
        """A run ended; `found` says how."""
        with self._lock:
            if task.folder in self._tasks:
                self._bars.remove_task(self._tasks.pop(task.folder)[0])
        self._bars.advance(self._all)
        if self._enabled:
            began = self._began.pop(task.folder, None)
            time_taken = "" if began is None else f" ({time.perf_counter() - began:.0f} s)"
            self._console.print(f"{task.label}: {found}{time_taken}", markup=False, highlight=False)

    def _look(self) -> None:
        while not self._stop.wait(_INTERVAL):
            with self._lock:
                for folder, (bar, _) in self._tasks.items():
                    self._bars.update(bar, completed=_epochs(folder))


def _epochs(folder: Path) -> int:
    try:
        with (folder / METRICS).open("rb") as file:
            return max(0, sum(1 for _ in file) - 1)
    except OSError:
        return 0
