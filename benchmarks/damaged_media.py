"""2,000 damaged files of 20 formats through `counterpoint prepare`: each is prepared, or listed with a reason.

A small file of each format is made, and copies of it are damaged from a seed: cut, bytes flipped, zeroed, blocks
swapped, or given the suffix of another format. Run: ``python benchmarks/damaged_media.py``
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from _bench import peak_mib

from counterpoint import cli
from counterpoint.data import load_table, prepare
from counterpoint.data.quality import kind_of_reason
from counterpoint.media.spec import MediaSpec

FORMATS = {  # name: suffix, codecs of pictures and sound, rate of sound
    "mp4 h264 aac": ("mp4", "libx264", "aac", 16000),
    "mp4 hevc aac": ("mp4", "libx265", "aac", 16000),
    "mp4 av1 opus": ("mp4", "libsvtav1", "libopus", 48000),
    "m4v mpeg4 aac": ("m4v", "mpeg4", "aac", 16000),
    "mov mpeg4 pcm": ("mov", "mpeg4", "pcm_s16le", 16000),
    "mov prores pcm": ("mov", "prores_ks", "pcm_s16le", 16000),
    "3gp h263 aac": ("3gp", "h263", "aac", 16000),
    "mkv h264 opus": ("mkv", "libx264", "libopus", 48000),
    "mkv ffv1 flac": ("mkv", "ffv1", "flac", 16000),
    "webm vp8 opus": ("webm", "libvpx", "libopus", 48000),
    "webm vp9 opus": ("webm", "libvpx-vp9", "libopus", 48000),
    "avi mpeg4 mp3": ("avi", "mpeg4", "libmp3lame", 16000),
    "avi mjpeg pcm": ("avi", "mjpeg", "pcm_s16le", 16000),
    "flv flv mp3": ("flv", "flv", "libmp3lame", 22050),
    "ts h264 aac": ("ts", "libx264", "aac", 16000),
    "mts h264 ac3": ("mts", "libx264", "ac3", 48000),
    "mpg mpeg1 mp2": ("mpg", "mpeg1video", "mp2", 48000),
    "vob mpeg2 ac3": ("vob", "mpeg2video", "ac3", 48000),
    "wmv wmv2 wma": ("wmv", "wmv2", "wmav2", 44100),
    "mxf mpeg2 pcm": ("mxf", "mpeg2video", "pcm_s16le", 48000),
}
CONTAINERS = {"mts": "mpegts", "ts": "mpegts", "m4v": "mp4", "wmv": "asf", "mpg": "mpeg"}
PICTURES = {"mjpeg": "yuvj420p", "prores_ks": "yuv422p10le"}
DAMAGES = ("cut", "flipped", "zeroed", "swapped", "wrong suffix")
SECONDS, FPS, WIDTH, HEIGHT = 1.2, 25, 128, 96  # H.263 knows few sizes
SPEC = MediaSpec(sample_rate=16000, seconds=1.0, fps=10, size=32)


def make(path: Path, video: str, audio: str, rate: int) -> bytes:
    """A tone, and a bright bar that wanders."""
    with av.open(str(path), "w", format=CONTAINERS.get(path.suffix[1:])) as container:
        seen = container.add_stream(video, rate=FPS)
        seen.width, seen.height, seen.pix_fmt = WIDTH, HEIGHT, PICTURES.get(video, "yuv420p")
        heard = container.add_stream(audio, rate=rate, layout="stereo" if path.suffix == ".vob" else "mono")
        heard.bit_rate = 64_000  # which some coders do not choose
        for k in range(round(SECONDS * FPS)):
            picture = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
            picture[:, 4 * k : 4 * k + 8] = 220
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(seen.encode(frame))
        wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(round(SECONDS * rate)) / rate)).astype(np.int16)[None]
        tone = av.AudioFrame.from_ndarray(wave, "s16", "mono")
        tone.sample_rate, tone.pts, tone.time_base = rate, 0, Fraction(1, rate)
        shaped = av.AudioResampler(heard.format, heard.layout, rate, heard.frame_size or None).resample(tone)
        for block in shaped:
            container.mux(heard.encode(block))
        container.mux(heard.encode(None))
        container.mux(seen.encode(None))
    return path.read_bytes()


def damaged(content: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """A damaged copy of a file; with the wrong suffix it is as it was."""
    data = np.frombuffer(content, np.uint8).copy()
    if kind == "cut":
        return data[: rng.integers(0, len(data))].tobytes()
    if kind == "flipped":  # from one byte to a tenth of all
        count = max(1, int(len(data) * 10 ** rng.uniform(-5, -1)))
        data[rng.integers(0, len(data), count)] ^= rng.integers(1, 256, count, dtype=np.uint8)
    elif kind == "zeroed":
        start = rng.integers(0, len(data))
        data[start : start + int(len(data) * 10 ** rng.uniform(-3, -0.3))] = 0
    elif kind == "swapped":
        size = max(1, int(len(data) * 10 ** rng.uniform(-3, -0.7)))
        one, two = (int(rng.integers(0, len(data) - size)) for _ in range(2))
        first, second = data[one : one + size].copy(), data[two : two + size].copy()
        data[one : one + size], data[two : two + size] = second, first
    return data.tobytes()


def make_all(root: Path, copies: int, seed: int) -> dict[str, tuple[str, str]]:
    """All files in two folders of classes; gives what each is: its format, and how it is damaged."""
    rng, made, suffixes = np.random.default_rng(seed), {}, sorted({suffix for suffix, *_ in FORMATS.values()})
    for name, (suffix, video, audio, rate) in FORMATS.items():
        content = make(root.parent / f"original.{suffix}", video, audio, rate)
        for k in range(copies):
            kind = DAMAGES[k % len(DAMAGES)]
            others = [other for other in suffixes if other != suffix]
            end = others[rng.integers(len(others))] if kind == "wrong suffix" else suffix
            clip = f"{'ab'[k % 2]}/{name.replace(' ', '-')}-{k:03}.{end}"
            (root / clip).parent.mkdir(parents=True, exist_ok=True)
            (root / clip).write_bytes(damaged(content, kind, rng))
            made[clip] = (name, kind)
    return made


def handles() -> int:
    """Files that this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--copies", type=int, default=100, help="of each of the 20 formats")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root, cache, listed = (Path(temporary, name) for name in ("clips", "cache", "skipped.csv"))
        made = make_all(root, args.copies, args.seed)
        media = json.dumps({"sample_rate": 16000, "seconds": 1.0, "fps": 10, "size": 32})
        words = ["--data.name=folder", f"--data.root={root}", f"--data.cache={cache}", f"--data.media={media}"]
        before, start = handles(), time.perf_counter()
        code = cli.main(["prepare", *words, "--data.max_bad=1", f"--output={listed}"])
        seconds, after = time.perf_counter() - start, handles()
        if code:
            raise SystemExit(f"prepare ended with {code}")
        with listed.open(newline="", encoding="utf-8") as file:
            skipped = {row["clip"]: row["reason"] for row in csv.DictReader(file)}
        again = prepare(load_table("folder", root), SPEC, cache=cache, max_bad=1.0)
        read = {clip.id for split in ("train", "val", "test") for clip in again.clips(split)}
        for split in ("train", "val", "test"):  # what counts as read is really there
            data = again.split(split)
            for k in range(0, len(data), 64):
                data.batch(range(k, min(k + 64, len(data))))
    print(f"{'':<16}" + "".join(f"{kind:>14}" for kind in DAMAGES))
    for name in FORMATS:
        of = {kind: [clip for clip, what in made.items() if what == (name, kind)] for kind in DAMAGES}
        print(f"{name:<16}" + "".join(f"{sum(c in read for c in of[k]):>9} of {len(of[k]):>2}" for k in DAMAGES))
    print("\nreasons of the others")
    for reason, count in Counter(kind_of_reason(reason) for reason in skipped.values()).most_common():
        print(f"{count:>6}  {reason}")
    lost = made.keys() - read - skipped.keys()
    both = read & skipped.keys()
    crashed = sum("crashed" in reason or "longer than" in reason for reason in skipped.values())
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    print(
        f"\n{len(made)} files (seed {args.seed}) in {seconds:.0f} s: {len(read)} prepared, {len(skipped)} skipped "
        f"({crashed} because the decoder crashed or hung), {len(lost)} unaccounted for, {len(both)} both\n"
        f"handles open before and after: {before}, {after}; most memory: {peak_mib():.0f} MiB here, {children:.0f} MiB "
        "in a decoding process"
    )
    if lost or both or any(not reason for reason in skipped.values()) or after > before + 2:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
