"""Generated clips of all containers against a judge: length, order of pictures, sync, and clips from anywhere.

Container x codec x frame rate (29.97, 12.5 and variable among them) x offset x length of the sound x B-frames x joined
or not, as far as FFmpeg writes them. A table of containers says of how many clips each check holds; what does not is
named below it. Run: ``python benchmarks/media_matrix.py``
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from container_checks import CHECKS, faults
from marked_clips import Case

RATES = (Fraction(25), Fraction(30000, 1001), Fraction(25, 2))
SOUNDS = (None, (0.0, 1.0), (0.0, 3.0), (0.7, 2.0))
# container -> codecs of pictures, codecs of sound
CODECS = {
    "mp4": (("libx264", "mpeg4"), ("aac", "libmp3lame")),
    "mov": (("libx264", "mjpeg"), ("aac", "pcm_s16le")),
    "mkv": (("libx264", "ffv1"), ("libmp3lame", "flac")),
    "webm": (("libvpx",), ("libopus",)),
    "avi": (("libx264", "mpeg4"), ("libmp3lame", "pcm_s16le")),
    "ts": (("libx264", "mpeg2video"), ("aac", "mp2")),
    "mpg": (("mpeg1video", "mpeg2video"), ("mp2",)),
    "flv": (("libx264", "flv"), ("aac", "libmp3lame")),
    "ogv": (("libvpx",), ("libopus", "flac")),
    "h264": (("libx264",), ()),
    "m1v": (("mpeg1video",), ()),
}
REORDERING = {"libx264", "mpeg4", "mpeg1video", "mpeg2video"}
FIXED_RATE = {"avi", "mpg", "m1v", "h264"}  # in these a picture cannot stay on longer than others
ONLY_AS_WHOLE = {"mp4", "mov", "flv"}  # of joined ones FFmpeg reads the first alone, which a note says
NO_OFFSET = {"avi", "h264", "m1v"}


def cases(container: str) -> Iterator[Case]:
    """Every combination that the container can hold."""
    pictures, sounds = CODECS[container]
    for video, audio, fps, offset, sound, bframes, joined, variable in itertools.product(
        pictures, (*sounds, None), RATES, (0.0, 20.0), SOUNDS, (0, 2), (False, True), (False, True)
    ):
        impossible = (
            (bframes and video not in REORDERING)
            or (bframes and container == "flv" and video == "flv")
            or (fps == RATES[2] and video in ("mpeg1video", "mpeg2video"))
            or (variable and (container in FIXED_RATE or video in ("mpeg1video", "mpeg2video")))
            or (offset and container in NO_OFFSET)
            or (joined and container in ONLY_AS_WHOLE)
            or (sound is not None and (audio is None or joined or variable))
        )
        if not impossible:
            yield Case(container, video, audio, fps, 2.0, variable, offset, sound, bframes, joined)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="take each so-many-th case alone")
    parser.add_argument("--containers", nargs="+", choices=CODECS, default=list(CODECS))
    args = parser.parse_args()
    av.logging.set_level(av.logging.PANIC)
    began, right, total = time.perf_counter(), 0, 0
    columns = (*CHECKS, "read")
    print(f"{'container':<10} {'clips':>5} " + " ".join(f"{check:>8}" for check in columns))
    with tempfile.TemporaryDirectory() as temporary:
        for container in args.containers:
            held: Counter[str] = Counter()
            wrong, unwritten = [], 0
            for case in itertools.islice(cases(container), 0, None, args.every):
                try:
                    found = faults(Path(temporary), case)
                except (av.error.FFmpegError, AssertionError):
                    unwritten += 1  # by this FFmpeg, or not as asked
                    continue
                total += 1
                right += not found
                held["clips tried"] += 1
                held.update(check for check in columns if check not in found and "read" not in found)
                if found:
                    wrong.append(f"  {case.name}: { ({check: what[:200] for check, what in found.items()}) }")
            counts = " ".join(f"{held[check]:>8}" for check in columns)
            print(
                f"{container:<10} {held['clips tried']:>5} {counts}" + f"   ({unwritten} not written)" * bool(unwritten)
            )
            print("".join(f"{line}\n" for line in wrong), end="", flush=True)
    print(f"{right} of {total} clips hold in every respect; {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
