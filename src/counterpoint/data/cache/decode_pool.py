"""Several decoding processes at once, each with one clip in hand, so that it is known which clip ended one."""

from __future__ import annotations

import contextlib
import pickle
import queue
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence

from counterpoint._cpu import cores
from counterpoint.data import children
from counterpoint.data.cache import decode_worker
from counterpoint.data.cache.decode_worker import READY, Answer, decode, find_reader
from counterpoint.data.cache.shards import Key
from counterpoint.errors import CounterpointError, one_line
from counterpoint.media.spec import MediaSpec

# Ends that lie in the clip (a kill from outside, e.g. for memory, may not happen again).
_CRASHES = {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"}
_LOOK = 0.2  # how often processes are looked at, seconds


def decode_all(
    keys: Sequence[Key],
    spec: MediaSpec,
    modalities: Sequence[str],
    *,
    jobs: int | None,
    timeout: float,
    reader: str | None = None,
) -> Generator[tuple[Key, Answer]]:
    """Decode clips, one after the other or several at once; results come in the order in which they are ready.

    Args:
        keys: what to decode.
        spec: shape of the decoded clips.
        modalities: what is wanted of them.
        jobs: decoding processes; None: one per core; 0: in this process.
        timeout: seconds after which a clip is given up, in a process of its own.
        reader: ``module:name`` of what reads a clip; None: `read_clip`.

    Raises:
        CounterpointError: a process cannot be started.
    """
    reader = reader or decode_worker.READER
    if jobs == 0:
        return decode_here(keys, spec, modalities, reader)
    # Starting a process costs about as much as decoding a few dozen clips.
    jobs = min(jobs or cores(), max(1, len(keys) // 8))
    return decode_apart(keys, spec, modalities, reader, jobs=jobs, timeout=timeout)


def decode_here(
    keys: Iterable[Key], spec: MediaSpec, modalities: Sequence[str], reader: str
) -> Generator[tuple[Key, Answer]]:
    """Decode in this process: for debugging; a crash of the decoder is a crash of the run."""
    read = find_reader(reader)
    for key in keys:
        yield key, decode(read, key, spec, modalities)


def decode_apart(
    keys: Iterable[Key], spec: MediaSpec, modalities: Sequence[str], reader: str, *, jobs: int, timeout: float
) -> Generator[tuple[Key, Answer]]:
    """Decode in `jobs` processes; results come in the order in which they are ready.

    A clip that crashes its process, or takes longer than `timeout` seconds, is answered with that reason; its process
    is replaced. Closing the generator ends the processes.

    Raises:
        CounterpointError: a process cannot be started.
    """
    tasks = deque(keys)
    results: queue.Queue[tuple[Key, Answer] | BaseException | None] = queue.Queue(maxsize=2 * jobs)
    seats = [_Seat(tasks, results, (spec, tuple(modalities), reader)) for _ in range(jobs)]
    busy = len(seats)
    for seat in seats:
        seat.start()
    try:
        looked = time.monotonic()
        while busy:
            if time.monotonic() - looked > _LOOK:
                looked = time.monotonic()
                for seat in seats:
                    seat.kill_if_over(timeout)
            try:
                result = results.get(timeout=_LOOK)
            except queue.Empty:
                continue
            if result is None:
                busy -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        tasks.clear()
        while any(seat.is_alive() for seat in seats):
            for seat in seats:
                seat.kill_if_over(0.0)
            with contextlib.suppress(queue.Empty):  # a seat may wait to hand over a result that nobody wants
                results.get(timeout=0.02)


class _Seat(threading.Thread):
    """Feeds one process, and replaces it when it ends before its time."""

    def __init__(
        self,
        tasks: deque[Key],
        results: queue.Queue[tuple[Key, Answer] | BaseException | None],
        setting: tuple[MediaSpec, tuple[str, ...], str],
    ) -> None:
        super().__init__(daemon=True, name="counterpoint-decoder")
        self.tasks, self.results, self.setting = tasks, results, setting
        self.process: _Process | None = None
        self.began: float | None = None  # when the clip in hand was begun
        self.lock = threading.Lock()  # so that a process is never ended for the clip before the one in hand

    def run(self) -> None:
        try:
            while True:
                try:
                    key = self.tasks.popleft()
                except IndexError:
                    break
                self.results.put((key, self._answer(key)))
            if self.process is not None:
                self.process.close()
        except BaseException as error:  # handed to the caller, who raises it
            self.results.put(error)
        else:
            self.results.put(None)

    def _answer(self, key: Key) -> Answer:
        if self.process is None:
            self.process = _Process(self.setting)
        process = self.process
        with self.lock:
            self.began = time.monotonic()
        answer = process.ask(key)
        with self.lock:
            self.began = None
        if answer is None or process.overran is not None:
            answer = process.how_it_ended()
            self.process = None
        return answer

    def kill_if_over(self, timeout: float) -> None:
        """End the process if its clip has taken longer than `timeout` seconds."""
        with self.lock:
            if self.began is not None and self.process is not None and time.monotonic() - self.began > timeout:
                self.process.overran = timeout
                self.process.child.kill()


class _Process:
    def __init__(self, setting: tuple[MediaSpec, tuple[str, ...], str]) -> None:
        self.overran: float | None = None
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the process)
        self.child = children.start(
            decode_worker.__name__, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )
        if self._exchange(setting) != READY:
            self.child.wait()
            raise CounterpointError(
                f"A decoding process could not be started: {self._last_words() or 'no reason given'}"
            )

    def ask(self, key: Key) -> Answer | None:
        """What became of a clip; None if the process ended over it."""
        answer = self._exchange(key)
        return answer if isinstance(answer, Answer) else None

    def how_it_ended(self) -> Answer:
        """A reason for people, once the process has ended over a clip."""
        code = self.child.wait()
        words = self._last_words()
        self.close()
        if self.overran is not None:
            return Answer(reason=f"reading it took longer than {self.overran:g} s")
        name = children.how_it_ended(code)
        said = f": {words}" if words else ""
        return Answer(reason=f"reading it crashed the decoder ({name}{said})", lasting=name in _CRASHES)

    def close(self) -> None:
        for pipe in (self.child.stdin, self.child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.child.wait()
        self.errors.close()

    def _exchange(self, message: object) -> object:
        assert self.child.stdin is not None and self.child.stdout is not None
        try:
            pickle.dump(message, self.child.stdin)
            self.child.stdin.flush()
            return pickle.load(self.child.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            return None

    def _last_words(self) -> str:
        self.errors.seek(0)
        lines = self.errors.read()[-2000:].decode(errors="replace").strip().splitlines()
        return one_line(lines[-1]) if lines else ""
