"""Clips whose every picture bears its number and whose sound beeps in step, and a judge of how they are read.

The judge knows nothing of the reader: what is in a file it knows from having written it, and checks by PyAV alone.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, cycle, islice
from pathlib import Path

import av
import numpy as np

HEIGHT, WIDTH, BITS = 48, 64, 8
EVERY = 12  # pictures from beep to beep
BEEP = 0.03  # seconds
RATES = {"libopus": 48000}


@dataclass(frozen=True)
class Case:
    """What a clip is like.

    Attributes:
        container: suffix of the file.
        video: codec of the pictures.
        audio: codec of the sound; None: there is none.
        fps: pictures per second.
        seconds: how long there are pictures.
        variable: pictures stay on for 1, 1, 3, 1 and 8 periods in turn.
        offset: time stamp of the first picture, seconds.
        sound: when the sound begins and ends after the first picture, seconds; None: with the pictures.
        bframes: how many B-frames stand in a row.
        joined: two such files, byte by byte.
    """

    container: str
    video: str
    audio: str | None
    fps: Fraction = Fraction(25)
    seconds: float = 2.0
    variable: bool = False
    offset: float = 0.0
    sound: tuple[float, float] | None = None
    bframes: int = 0
    joined: bool = False

    @property
    def name(self) -> str:
        parts = [self.container, self.video, self.audio or "mute", f"{float(self.fps):.4g}fps"]
        parts += ["variable"] * self.variable + [f"from{self.offset:g}"] * bool(self.offset)
        parts += [f"sound{self.sound[0]:g}-{self.sound[1]:g}"] if self.sound else []
        return "-".join(parts + [f"b{self.bframes}"] * bool(self.bframes) + ["joined"] * self.joined)

    @property
    def times(self) -> list[Fraction]:
        """When each picture comes on, seconds after the first."""
        lasts = cycle((1, 1, 3, 1, 8) if self.variable else (1,))
        ticks = accumulate(islice(lasts, 10_000), initial=0)
        return [tick / self.fps for tick in ticks if tick / self.fps < self.seconds - 1e-6]


def picture(number: int) -> np.ndarray:
    """Bars of gray: white is 1, the highest bit at the left; the lower half is inverse."""
    bits = [(number >> bit) & 1 for bit in reversed(range(BITS))]
    bars = np.repeat([230 if bit else 25 for bit in bits], WIDTH // BITS)
    upper = np.broadcast_to(bars, (HEIGHT // 2, WIDTH))
    return np.concatenate([upper, 255 - upper])[..., None].repeat(3, -1).astype(np.uint8)


def number_of(gray: np.ndarray) -> int:
    """The number that a picture ``(H, W)`` bears; -1 if it bears none."""
    half, width = gray.shape[0] // 2, gray.shape[1] // BITS
    middle = slice(half // 4, half - half // 4)
    bars = gray.astype(float).reshape(gray.shape[0], BITS, width).mean(2)
    difference = bars[:half][middle].mean(0) - bars[half:][middle].mean(0)
    if np.abs(difference).min() < 40:
        return -1
    return int("".join("1" if bar > 0 else "0" for bar in difference), 2)


def write(path: Path, case: Case, first: int = 0) -> Path:
    """Write a clip whose pictures are numbered from `first` on."""
    with av.open(str(path), "w", format={"mpg": "mpeg", "ts": "mpegts"}.get(case.container)) as container:
        options = {"bf": str(case.bframes)} if case.video not in ("libvpx", "mjpeg", "ffv1") else {}
        if case.video == "libx264":
            options |= {
                "crf": "10",
                "preset": "ultrafast",
                "x264-params": f"bframes={case.bframes}:b-adapt=0:keyint=30",
            }
        video = container.add_stream(case.video, rate=case.fps, options=options)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuvj420p" if case.video == "mjpeg" else "yuv420p"
        video.codec_context.bit_rate = 2_000_000
        video.codec_context.thread_count = 1
        unit = 1 / case.fps
        audio = None
        if case.audio is not None:
            audio = container.add_stream(case.audio, rate=RATES.get(case.audio, 44100), layout="mono")
        start = round(case.offset / unit)
        for number, time in enumerate(case.times, first):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = start + round(time / unit), unit
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            _write_sound(container, audio, case, float(start * unit))
    return path


def _write_sound(container, stream, case, start):
    rate = stream.codec_context.sample_rate
    low, high = case.sound or (0.0, case.seconds)
    wave = np.zeros(round(high * rate), np.float32)
    for time in case.times[::EVERY]:
        at = round(float(time) * rate)
        beep = 0.6 * np.sin(2 * np.pi * 1500 * np.arange(round(BEEP * rate)) / rate)
        wave[at : at + len(beep)] = beep[: len(wave[at : at + len(beep)])]
    wave = wave[round(low * rate) :]
    to = av.AudioResampler(stream.codec_context.format.name, "mono", rate)
    fifo = av.AudioFifo()
    first = round((start + low) * rate)
    for at in range(0, len(wave), 4096):
        block = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave[None, at : at + 4096]), "fltp", "mono")
        block.sample_rate, block.pts, block.time_base = rate, at, Fraction(1, rate)
        for piece in to.resample(block):
            fifo.write(piece)
    size, written = stream.codec_context.frame_size or 1024, 0
    while (block := fifo.read(size, partial=True)) is not None:
        block.pts, block.time_base = first + written, Fraction(1, rate)
        written += block.samples
        container.mux(stream.encode(block))
    container.mux(stream.encode(None))


def make(folder: Path, case: Case) -> Path:
    """Write the clip of a case, joined or not."""
    path = folder / f"{case.name}.{case.container}"
    write(path, case)
    if case.joined:
        write(folder / f"second.{case.container}", case, first=len(case.times))
        path.write_bytes(path.read_bytes() + (folder / f"second.{case.container}").read_bytes())
    return path


@dataclass(frozen=True)
class Truth:
    """What a clip holds: numbers of its pictures in the order in which they are shown, and its length, seconds."""

    numbers: list[int]
    seconds: float


def judge(folder: Path, case: Case) -> Truth:
    """What PyAV finds in the parts of a case, each by itself: pictures as they come out, and packets' stamps.

    A stamp of AVI, or none, is worth nothing: there pictures follow each other at the frame rate.
    """
    numbers, seconds = [], 0.0
    for part in range(1 + case.joined):
        alone = replace(case, joined=False)
        path = write(folder / f"judged.{case.container}", alone, first=part * len(case.times))
        with av.open(str(path)) as container:
            found = [
                number_of(frame.reformat(format="gray").to_ndarray()[:, :WIDTH]) for frame in container.decode(video=0)
            ]
        assert found == list(range(part * len(case.times), (part + 1) * len(case.times))), "the clip is written wrongly"
        numbers += found
        begins, ends = [], []
        with av.open(str(path)) as container:
            count = 0
            for packet in container.demux():
                if packet.size == 0:
                    continue
                unit, stamp = float(packet.time_base), packet.pts
                if packet.stream.type == "video" and (case.container == "avi" or stamp is None):
                    stamp, count = count / float(case.fps) / unit, count + 1
                # With B-frames a packet's duration is the time to the next one in the order of decoding.
                lasts = 0 if packet.stream.type == "video" and case.bframes else packet.duration
                begins.append(stamp * unit)
                ends.append((stamp + (lasts or float(1 / case.fps) / unit)) * unit)
            starts = [float(s.start_time * s.time_base) for s in container.streams if s.start_time is not None]
        seconds += max(ends) - min(starts, default=0.0)
    return Truth(numbers, seconds)


def shown(visual: np.ndarray) -> list[int]:
    """Numbers of the pictures of a clip, each once as long as it is on."""
    numbers = [number_of(frame[..., 0]) for frame in visual]
    return [number for k, number in enumerate(numbers) if k == 0 or number != numbers[k - 1]]


def beeps(audio: np.ndarray, rate: int) -> list[float]:
    """When the sound begins to beep, seconds into it."""
    loud = np.abs(audio.astype(float))
    if loud.max() < 3000:
        return []
    on = np.flatnonzero(loud > 0.4 * loud.max())
    return [on[k] / rate for k in range(len(on)) if k == 0 or on[k] - on[k - 1] > 0.04 * rate]
