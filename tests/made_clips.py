"""Small clips made on the spot: a flash and a click at known times, streams of any kind, damaged copies."""

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from counterpoint.media.encode import write_clip

SAMPLE_RATE = 16000


def flash_and_click(
    path: Path,
    *,
    at: float = 1.0,
    seconds: float = 2.0,
    fps: float = 25.0,
    sample_rate: int = SAMPLE_RATE,
    size: int = 32,
) -> Path:
    """Black until the frame at or after `at`, white from then on; silence but for a click at `at`."""
    audio = np.zeros(round(seconds * sample_rate), np.float32)
    audio[round(at * sample_rate)] = 1.0
    frames = np.zeros((round(seconds * fps), size, size, 3), np.uint8)
    frames[round(at * fps) :] = 255
    write_clip(path, audio, frames, fps=fps, sample_rate=sample_rate)
    return path


def pcm_file(path: Path, samples: np.ndarray, *, rate: int, layout: str = "mono", codec: str = "pcm_s16le") -> Path:
    """Uncompressed sound `(channels, n)` in [-1, 1] in any layout and sample format."""
    formats = {"pcm_s16le": "s16", "pcm_u8": "u8", "pcm_s32le": "s32", "pcm_f32le": "flt", "pcm_f64le": "dbl"}
    scale = {"u8": 127, "s16": 32767, "s32": 2**31 - 2**8, "flt": 1, "dbl": 1}[formats[codec]]
    dtype = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}[formats[codec]]
    values = samples.T.astype(np.float64) * scale + (128 if codec == "pcm_u8" else 0)
    packed = np.ascontiguousarray((np.rint(values) if scale > 1 else values).astype(dtype).reshape(1, -1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(packed, formats[codec], layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def video_file(
    path: Path,
    frames: np.ndarray,
    *,
    times: list[float] | None = None,
    fps: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    hflip: bool = False,
    colours: tuple[int, int] | None = None,
    click: float | None = None,
) -> Path:
    """RGB `(T, H, W, 3)` shown at `times`; `colours`: FFmpeg's (space, range); `click` adds sound, in Matroska."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": "1"} if codec == "libx264" else {})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        reformat = {}
        if colours is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colours
            reformat = {"dst_colorspace": colours[0], "dst_color_range": colours[1]}
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        sound = None
        if click is not None:
            sound = container.add_stream("pcm_s16le", rate=SAMPLE_RATE, layout="mono")
            wave = np.zeros((1, round(2 * SAMPLE_RATE)), np.int16)
            wave[0, round(click * SAMPLE_RATE)] = 30000
            block = av.AudioFrame.from_ndarray(wave, "s16", "mono")
            block.sample_rate, block.pts = SAMPLE_RATE, 0
            container.mux(sound.encode(block))
        for k, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if colours is not None:
                frame = frame.reformat(format=pix_fmt, **reformat)
            frame.pts = round(1000 * (k / fps if times is None else times[k]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damaged(data: bytes, seed: int) -> bytes:
    """A copy with bytes flipped, cut, zeroed, moved or its header overwritten, as the seed has it."""
    draw = random.Random(seed)
    out = bytearray(data)
    kind = seed % 6
    a, b, length = draw.randrange(len(out)), draw.randrange(len(out)), draw.randrange(1, len(out))
    if kind == 0:
        for _ in range(draw.choice([1, 10, 100, 1000])):
            out[draw.randrange(len(out))] = draw.randrange(256)
    elif kind == 1:
        del out[max(1, a) :]
    elif kind == 2:
        out[a : a + length] = bytes(len(out[a : a + length]))
    elif kind == 3:
        for _ in range(draw.choice([1, 3, 10])):
            out[draw.randrange(min(2000, len(out)))] = draw.choice([0, 255, draw.randrange(256)])
    elif kind == 4:
        out[a : a + 500], out[b : b + 500] = out[b : b + 500], out[a : a + 500]
    else:
        for _ in range(20):  # an MP4's index stands at its end
            out[draw.randrange(max(0, len(out) - 3000), len(out))] = draw.randrange(256)
    return bytes(out)
