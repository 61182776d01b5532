"""What is shown while a comparison runs, and in its log: how far all runs are, and each that is under way."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from counterpoint._progress import ProgressDisplay
from counterpoint.experiments.worker import RunTask
from counterpoint.training.budget import planned
from counterpoint.training.run_dir import METRICS

_INTERVAL = 0.5  # seconds between looks at the run folders


@dataclass(frozen=True)
class _Begun:
    task: RunTask
    at: float


class RunProgress:
    """Progress on standard error; where that is no terminal, a line for each run that begins or ends, and every half a
    minute one for each that is under way.

    The epochs of runs under way are read off their ``metrics.csv``, which works alike for this process and for workers.

    Args:
        total: how many runs there will be.
        log: a file to which the lines go too.
        enabled: False shows nothing.
    """

    def __init__(self, total: int, log: Path, enabled: bool = True) -> None:
        self._display = ProgressDisplay(enabled, transient=True)
        self._display.log = log
        self._total = total
        self._ended = 0
        self._begun: dict[str, _Begun] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> RunProgress:
        self._display.__enter__()
        self._show_all("runs" if self._display.draws else "")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._display.__exit__(kind, error, trace)

    def started(self, task: RunTask) -> None:
        """A run begins, or is taken up again."""
        with self._lock:
            self._begun[task.label] = _Begun(task, time.perf_counter())
            self._show_begun()

    def ended(self, task: RunTask, found: str) -> None:
        """A run ended; `found` says how."""
        with self._lock:
            begun = self._begun.pop(task.label, None)
            self._display.remove(f"  {task.label}")
            self._ended += 1
            took = "" if begun is None else f" ({time.perf_counter() - begun.at:.0f} s)"
            said = f"{task.label}: {found}{took}"
            if self._display.draws:
                self._display.say(said)
            self._show_all("runs" if self._display.draws else said)

    def _show_all(self, note: str) -> None:
        self._display.update("all runs", self._ended, self._total, note)

    def _look(self) -> None:
        while not self._stop.wait(_INTERVAL):
            with self._lock:
                self._show_begun()

    def _show_begun(self) -> None:
        for label, begun in self._begun.items():
            self._display.update(f"  {label}", _epochs(begun.task), planned(begun.task.config)[0], "epochs")


def _epochs(task: RunTask) -> int:
    try:
        with (task.folder / METRICS).open("rb") as file:
            return max(0, sum(1 for _ in file) - 1)
    except OSError:
        return 0
