"""Run tasks in this process, or several at a time in worker processes that may die without ending the others."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from counterpoint._cpu import cores


class HasFolder(Protocol):
    """A task that writes to a folder of its own."""

    @property
    def folder(self) -> Path:
        """Where it writes; a worker's output goes to ``log.txt`` there."""


T = TypeVar("T", bound=HasFolder)
R = TypeVar("R")

ERROR, LOG = "error.txt", "log.txt"


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What became of a task: its result, or why there is none (the traceback stands in ``error.txt``)."""

    task: T
    result: R | None
    error: str | None = None


class Pool(Generic[T, R]):
    """A context in which tasks are run; its workers stay between calls of `run`.

    Args:
        function: of the top level of a module, so that a worker can find it.
        jobs: at most so many tasks at a time; 1 runs them in this process.
        threads: of a worker; None: the cores of this machine by `jobs`.
    """

    def __init__(self, function: Callable[[T], R], *, jobs: int = 1, threads: int | None = None) -> None:
        self.function = function
        self.jobs = jobs
        self.threads = max(1, cores() // jobs) if threads is None else threads
        self._workers: list[_Worker[T, R]] = []

    def __enter__(self) -> Pool[T, R]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            if worker.task is not None:
                worker.process.terminate()  # fit takes SIGTERM as Ctrl-C, and keeps what is finished
        for worker in self._workers:
            worker.stop()
        self._workers.clear()

    def run(self, tasks: Sequence[T], started: Callable[[T], None] = lambda task: None) -> Iterator[Outcome[T, R]]:
        """Run every task, and yield outcomes as they come.

        An exception, or the death of a worker process, is the outcome of its task alone. `KeyboardInterrupt` ends all.

        Args:
            tasks: what to run; sent to workers by pickle.
            started: called here as a task starts.
        """
        if self.jobs <= 1:
            for task in tasks:
                started(task)
                yield _outcome(task, *_attempt(self.function, task))
            return
        waiting = deque(tasks)
        while True:
            while waiting and (worker := self._idle()) is not None:
                worker.give(waiting[0])
                started(waiting.popleft())
            busy = {worker.connection: worker for worker in self._workers if worker.task is not None}
            if not busy:
                return
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index]  # every one of them is a connection
                outcome = worker.take()
                if not worker.process.is_alive():
                    worker.stop()
                    self._workers.remove(worker)
                yield outcome

    def _idle(self) -> _Worker[T, R] | None:
        """A worker without a task, a new one if there may be more; None where all are busy."""
        for worker in self._workers:
            if worker.task is None:
                return worker
        if len(self._workers) == self.jobs:
            return None
        self._workers.append(_Worker(self.function, self.threads))
        return self._workers[-1]


class _Worker(Generic[T, R]):
    """A process that runs one task after the other."""

    def __init__(self, function: Callable[[T], R], threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # a forked copy of a threaded process may hang
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, function, threads))
        self.process.start()
        theirs.close()
        self.task: T | None = None

    def give(self, task: T) -> None:
        self.task = task
        with contextlib.suppress(OSError):  # a dead worker is found by `take`
            self.connection.send(task)

    def take(self) -> Outcome[T, R]:
        assert self.task is not None
        task, self.task = self.task, None
        try:
            return _outcome(task, *self.connection.recv())
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            why = "; it was killed, perhaps for lack of memory" if code == -9 else ""
            return _outcome(task, None, f"the worker process ended with exit code {code}{why}", "")

    def stop(self) -> None:
        self.connection.close()  # the worker reads the end and leaves
        self.process.join(20)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(connection: Connection, function: Callable[[Any], Any], threads: int) -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            task = connection.recv()
            task.folder.mkdir(parents=True, exist_ok=True)
            with (task.folder / LOG).open("a", encoding="utf-8") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            connection.send(_attempt(function, task))


def _leave_with_parent() -> None:
    """A parent that was killed could be started again, and write where this worker still writes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)  # fit takes it as Ctrl-C, and keeps what is finished


def _attempt(function: Callable[[T], R], task: T) -> tuple[R | None, str | None, str]:
    """Result, error in words, traceback."""
    try:
        return function(task), None, ""
    except Exception as error:
        sys.stdout.flush()
        return None, f"{type(error).__name__}: {error}", traceback.format_exc()


def _outcome(task: T, result: R | None, error: str | None, trace: str) -> Outcome[T, R]:
    path = task.folder / ERROR
    if error is None:
        path.unlink(missing_ok=True)
    else:
        task.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(trace or error + "\n", encoding="utf-8")
    return Outcome(task, result, error)
