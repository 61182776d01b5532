"""Run tasks in this process, or several at a time in worker processes that may die without ending the others."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Generic, Protocol, TypeVar

from counterpoint._console import guard_logging
from counterpoint._cpu import cores
from counterpoint.data import children
from counterpoint.errors import one_line, printable


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

    def run(
        self,
        tasks: Sequence[T],
        started: Callable[[T], None] = lambda task: None,
        go_on: Callable[[], bool] = lambda: True,
    ) -> Iterator[Outcome[T, R]]:
        """Run every task, and yield outcomes as they come.

        An exception, or the death of a worker process, is the outcome of its task alone. `KeyboardInterrupt` ends all.

        Args:
            tasks: what to run; sent to workers by pickle.
            started: called here as a task starts.
            go_on: asked before each task; once it says no, those that are left are not begun.
        """
        if self.jobs <= 1:
            for task in tasks:
                if not go_on():
                    return
                started(task)
                yield _outcome(task, *_attempt(self.function, task))
            return
        waiting = deque(tasks)
        while True:
            while waiting and go_on() and (worker := self._idle()) is not None:
                worker.give(waiting[0])
                started(waiting.popleft())
            busy = {worker.answers: worker for worker in self._workers if worker.task is not None}
            if not busy:
                return
            for ready in wait(list(busy)):
                worker = busy[ready]  # type: ignore[index]  # every one of them is a connection
                outcome = worker.take()
                if worker.process.poll() is not None:
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
        count = {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        self.process = children.start(__name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=count)
        assert self.process.stdin is not None and self.process.stdout is not None
        with self.process.stdin as to, self.process.stdout as back:
            self.tasks = Connection(os.dup(to.fileno()), readable=False)
            self.answers = Connection(os.dup(back.fileno()), writable=False)
        self.task: T | None = None
        # The user's script, whose parts the tasks may name; a worker runs it under another name, as multiprocessing's.
        script = spawn.get_preparation_data("worker")
        self._send({key: script[key] for key in _SCRIPT if key in script})
        self._send((function, threads))

    def give(self, task: T) -> None:
        self.task = task
        self._send(task)

    def take(self) -> Outcome[T, R]:
        assert self.task is not None
        task, self.task = self.task, None
        try:
            return _outcome(task, *self.answers.recv())
        except (EOFError, OSError):
            code = self.process.wait()
            why = "; it was killed, perhaps for lack of memory" if code == -9 else ""
            return _outcome(task, None, f"the worker process ended with exit code {code}{why}", "")

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self.tasks.send_bytes(_LEAVE)
        self.tasks.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.answers.close()

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # a dead worker is found by `take`
            self.tasks.send(message)


_LEAVE = b""  # in place of a task
_SCRIPT = ("sys_argv", "init_main_from_name", "init_main_from_path")  # what `spawn.prepare` needs of it


def main() -> None:
    """Serve a pool: what is to be done comes by standard input, results go by standard output."""
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()
    with Connection(os.dup(1), readable=False) as answers, contextlib.suppress(OSError, KeyboardInterrupt):
        os.dup2(2, 1)  # whatever prints must not fall into the answers
        guard_logging()
        spawn.prepare(pickle.loads(messages.get()))
        function, threads = pickle.loads(messages.get())
        import torch

        torch.set_num_threads(threads)
        while (message := messages.get()) != _LEAVE:
            task = pickle.loads(message)
            with contextlib.suppress(OSError):  # the task tells of a disk that is full
                task.folder.mkdir(parents=True, exist_ok=True)
                with (task.folder / LOG).open("a", encoding="utf-8") as log:
                    os.dup2(log.fileno(), 1)
                    os.dup2(log.fileno(), 2)
            answers.send(_attempt(function, task))


def _listen(messages: queue.SimpleQueue[bytes]) -> None:
    """Hand on what the parent says, and leave where it ended without a word.

    A parent that was killed could be started again, and write where this worker still writes.
    """
    message = None
    with Connection(os.dup(0), writable=False) as tasks, contextlib.suppress(EOFError, OSError):
        while message != _LEAVE:
            message = tasks.recv_bytes()
            messages.put(message)
    if message != _LEAVE:
        os.kill(os.getpid(), signal.SIGTERM)  # fit takes it as Ctrl-C, and keeps what is finished


def _attempt(function: Callable[[T], R], task: T) -> tuple[R | None, str | None, str]:
    """Result, error in words, traceback."""
    try:
        return function(task), None, ""
    except Exception as error:
        sys.stdout.flush()
        return None, f"{type(error).__name__}: {one_line(error)}", printable(traceback.format_exc())


def _outcome(task: T, result: R | None, error: str | None, trace: str) -> Outcome[T, R]:
    path = task.folder / ERROR
    with contextlib.suppress(OSError):  # the error itself may be a full disk
        if error is None:
            path.unlink(missing_ok=True)
        else:
            task.folder.mkdir(parents=True, exist_ok=True)
            path.write_text(trace or error + "\n", encoding="utf-8")
    return Outcome(task, result, error)
