"""How the readers of a file stand up to a judge: length, order of pictures, sync, clips from anywhere, and joining."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from counterpoint.errors import CounterpointError
from counterpoint.media.decode import probe, read_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.windows import Windows
from marked_clips import BEEP, EVERY, Case, Truth, beeps, judge, make, number_of, shown

RATE = 16000
CHECKS = ("length", "order", "windows", "sync", "clips")


def faults(folder: Path, case: Case) -> dict[str, str]:
    """Write the clip of a case, and read it in every way: check -> what is wrong; empty where all is right."""
    truth = judge(folder, case)
    path = make(folder, case)
    found: dict[str, str] = {}
    try:
        _compare(path, case, truth, found)
    except CounterpointError as error:
        found["read"] = str(error)
    return found


def _compare(path: Path, case: Case, truth: Truth, found: dict[str, str]) -> None:
    period, fps = float(1 / case.fps), 2 * float(case.fps)  # twice, so that no picture is passed over
    modalities = ("visual",) if case.audio is None else ("audio", "visual")

    length = probe(path).seconds or 0.0
    if abs(length - truth.seconds) > 1.5 * period * (1 + case.joined):
        found["length"] = f"{length:.3f} s, not {truth.seconds:.3f} s"

    spec = MediaSpec(seconds=max(length, period), fps=fps, size=64, sample_rate=RATE)
    whole = read_clip(path, spec, modalities=modalities)
    if shown(whole.visual) != truth.numbers:
        found["order"] = f"{shown(whole.visual)}"

    reader = Windows(path, replace(spec, seconds=0.5), modalities=modalities)
    windows = list(reader)
    visual = np.concatenate([window.clip.visual for window in windows])[: len(whole.visual)]
    seen = shown(visual)
    missing = len(truth.numbers) - len(seen)
    lost = [w.start for w in windows if w.undecodable and w.seconds > 0.2 and case.sound is None]
    # The last 0.1 s may make no window.
    if seen != truth.numbers[: len(seen)] or missing > 1 + 0.1 / period or reader.seconds != length or lost:
        found["windows"] = f"{seen}, lost at {lost}, {reader.seconds} s"

    if case.audio is not None:
        heard = np.concatenate([window.clip.audio for window in windows])
        low, high = case.sound or (0.0, case.seconds)
        due = sum(low <= float(time) and float(time) + BEEP < high for time in case.times[::EVERY])
        count = len(beeps(whole.audio, RATE))
        apart = [_out_of_step(case, whole.visual, whole.audio, fps), _out_of_step(case, visual, heard, fps)]
        if count != due * (1 + case.joined) or max(apart) > period + 0.01:
            found["sync"] = f"{count} beeps, {apart} s apart"

    # A clip from anywhere is that part of the whole; from 3 s on it is sought.
    for start in (0.4 * length, 0.85 * length):
        part = read_clip(path, replace(spec, seconds=0.3), start=start, modalities=("visual",)).visual
        first = round(start * fps)
        expected = [whole.visual[min(len(whole.visual) - 1, first + k)] for k in range(len(part))]
        steps = [number_of(a[..., 0]) - number_of(b[..., 0]) for a, b in zip(expected, part, strict=True)]
        if not set(steps) <= {-1, 0, 1}:
            found["clips"] = f"at {start:.2f} s pictures off by {steps}"


def _out_of_step(case: Case, visual: np.ndarray, audio: np.ndarray, fps: float) -> float:
    """Seconds from a beep to the moment at which its picture comes on, at most, by what is seen and heard."""
    numbers = [number_of(frame[..., 0]) for frame in visual]
    pictures = {number: k / fps for k, number in reversed(list(enumerate(numbers)))}
    marked = [time for number, time in pictures.items() if number >= 0 and number % len(case.times) % EVERY == 0]
    heard = [beep for beep in beeps(audio, RATE) if beep < len(visual) / fps - 0.15]  # later ones may have no window
    return max((min(abs(beep - time) for time in marked) for beep in heard), default=0.0)
