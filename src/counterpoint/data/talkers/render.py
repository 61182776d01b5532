"""From a planned clip to sound and frames, and from those to files."""

from __future__ import annotations

import logging
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from counterpoint._atomic import write_json
from counterpoint._limits import read_json
from counterpoint.data import children
from counterpoint.data.talkers.articulation import Movement, articulate, draw_slots
from counterpoint.data.talkers.face import FPS, draw_frames
from counterpoint.data.talkers.plan import VERSION, ClipPlan, Settings, name_of
from counterpoint.data.talkers.speakers import Speaker, draw_speaker
from counterpoint.data.talkers.speech import SAMPLE_RATE, add_noise, speak
from counterpoint.errors import DataError

Progress = Callable[[int, int], None]
"""Called with (clips rendered so far, clips to render)."""

_SPEAKER, _TIMING, _SOUND, _NOISE, _SIGHT = 11, 12, 13, 14, 15
_WORTH_A_PROCESS = 40  # clips; a worker takes about a second to start
_CRF = 18  # a mouth of 20 pixels bears less loss than the encoder's default
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scene:
    """A clip before it is coded.

    Attributes:
        audio: ``(N,)`` float32 at 16 kHz, within -1 to 1: `speech` plus noise, scaled.
        frames: ``(T, 64, 64, 3)`` uint8, RGB.
        speech: ``(N,)`` float64, before scaling.
        noise: ``(N,)`` float64, likewise.
        heard: the movements behind the sound.
        seen: those behind the picture; equal but for distractors.
    """

    audio: np.ndarray
    frames: np.ndarray
    speech: np.ndarray
    noise: np.ndarray
    heard: Movement
    seen: Movement


@lru_cache(maxsize=1024)
def speaker_of(seed: int, speaker: int) -> Speaker:
    """The person behind a speaker's number."""
    # Steps of the golden ratio: low and high voices are evenly spread over any run of numbers, hence over each split.
    voice = (np.random.default_rng([seed, _SPEAKER]).uniform() + speaker * 0.6180339887) % 1.0
    return draw_speaker(np.random.default_rng([seed, _SPEAKER, speaker]), voice=float(voice))


def compose(plan: ClipPlan, settings: Settings) -> Scene:
    """Synthesise one clip; the same plan and settings give the same arrays."""

    def stream(number: int) -> np.random.Generator:
        return np.random.default_rng([settings.seed, number, plan.index])

    speaker = speaker_of(settings.seed, plan.speaker)
    lead = settings.task == "syllable"
    slots = draw_slots(settings.seconds, len(plan.heard), lead, speaker, stream(_TIMING))
    heard = articulate(_names(plan.heard), slots, settings.seconds)
    seen = heard if plan.seen == plan.heard else articulate(_names(plan.seen), slots, settings.seconds)
    sound = stream(_SOUND)
    speech = speak(heard, speaker, sound)
    mixed, noise = add_noise(speech, settings.audio_snr_db, stream(_NOISE))
    audio = (sound.uniform(0.3, 0.9) / np.abs(mixed).max() * mixed).astype(np.float32)
    frames = draw_frames(seen, speaker, stream(_SIGHT), hidden=plan.hidden, noise=settings.visual_noise)
    return Scene(audio, frames, speech, noise, heard, seen)


def _names(labels: Sequence[int | None]) -> list[str | None]:
    return [name_of(label) for label in labels]


def read_settings(folder: Path) -> Settings:
    """What the clips in a folder are rendered with, as `render` says beside them."""
    values = read_json(folder / "settings.json")
    values.pop("version")
    return Settings(**values)


def missing(plans: Iterable[ClipPlan], folder: Path) -> list[ClipPlan]:
    """The clips of which `folder` has no file yet."""
    present = {path.name for path in folder.iterdir()}
    return [plan for plan in plans if f"{plan.id}.mp4" not in present]


def render_here(
    plans: Sequence[ClipPlan], settings: Settings, folder: Path, done: Callable[[], None] = lambda: None
) -> None:
    """Render clips in this process. A file appears under its name only when it is complete.

    Args:
        plans: what to render; files that are there already are replaced.
        settings: of the dataset.
        folder: where the files go.
        done: called after each clip.
    """
    from counterpoint.media.encode import write_clip  # brings PyAV along; listing clips does not need it

    scratch = _scratch(folder, os.getpid())
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        for plan in plans:
            scene = compose(plan, settings)
            path = scratch / f"{plan.id}.mp4"
            write_clip(path, scene.audio, scene.frames, fps=FPS, sample_rate=SAMPLE_RATE, crf=_CRF)
            path.replace(folder / path.name)
            done()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def render(settings: Settings, plans: Sequence[ClipPlan], folder: Path, jobs: int, progress: Progress | None) -> int:
    """Render what `folder` lacks, in up to `jobs` processes; safe beside another process that does the same.

    Returns:
        the number of clips rendered.

    Raises:
        DataError: a worker process failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    write_json(folder / "settings.json", {"version": VERSION, **settings.values}, shared=True)
    todo = missing(plans, folder)
    if not todo:
        return 0
    _log.info("rendering %d synthetic clips into %s", len(todo), folder)
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        if progress is not None:
            progress(count, len(todo))

    jobs = min(jobs, len(todo) // _WORTH_A_PROCESS)
    if jobs > 1:
        _render_apart(folder, jobs, done)
    render_here(missing(plans, folder), settings, folder, done)
    return len(todo)


def _render_apart(folder: Path, jobs: int, done: Callable[[], None]) -> None:
    said_to = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    workers = [
        children.start("counterpoint.data.talkers.worker", str(folder), str(part), str(jobs), **said_to)
        for part in range(jobs)
    ]
    said: list[list[str]] = [[] for _ in workers]
    lock = threading.Lock()

    def listen(worker: subprocess.Popen[str], lines: list[str]) -> None:
        assert worker.stdout is not None
        for line in worker.stdout:
            if line.strip() == ".":
                with lock:
                    done()
            else:
                lines.append(line)

    listeners = [threading.Thread(target=listen, args=pair, daemon=True) for pair in zip(workers, said, strict=True)]
    try:
        for listener in listeners:
            listener.start()
        for worker, listener in zip(workers, listeners, strict=True):
            worker.wait()
            listener.join()
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()
            shutil.rmtree(_scratch(folder, worker.pid), ignore_errors=True)
    for worker, lines in zip(workers, said, strict=True):
        if worker.returncode:
            raise DataError(
                f"{folder}: rendering the synthetic clips failed; what is complete is kept for the next try.\n"
                + "".join(lines[-20:])
            )


def _scratch(folder: Path, pid: int) -> Path:
    return folder / f".rendering-{platform.node()}-{pid}"


def _sweep(folder: Path) -> None:
    """Remove what renderers left behind that were killed on this machine."""
    prefix = _scratch(folder, 0).name[:-1]
    for path in folder.glob(f"{prefix}*"):
        pid = path.name.removeprefix(prefix)
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
