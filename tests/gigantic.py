"""Files whose headers declare more than any machine has, and a process that reads them."""

import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np

from counterpoint.data.cache.decode_worker import READER, decode, find_reader
from counterpoint.data.cache.shards import Key
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec


def png(path: Path, width: int, height: int) -> None:
    """A picture of zeros, packed a thousandfold."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(2**24), 9)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))


def wav(path: Path, rate: int, declared: int, channels: int = 1) -> None:
    """Little sound, of which much is declared."""
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, (2 * rate * channels) % 2**32, 2 * channels % 2**16, 16
    )
    body = bytes(2**16)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 2**32 - 1) + b"WAVE" + form + b"data" + struct.pack("<I", declared) + body
    )


def make_all(folder: Path) -> list[Path]:
    """One file of each kind."""
    made = [folder / name for name in ("wide.png", "large.png", "rate.wav", "long.wav", "channels.wav", "large.y4m")]
    png(made[0], 2**31 - 1, 1)
    png(made[1], 60_000, 60_000)
    wav(made[2], 2**31 - 1, 2**16)
    wav(made[3], 8_000, 2**32 - 1)
    wav(made[4], 8_000, 2**16, channels=65_535)
    made[5].write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 C420\nFRAME\n" + bytes(1000))
    film = folder / "film.mp4"
    write_clip(film, np.zeros(16000, np.float32), np.zeros((10, 64, 64, 3), np.uint8), fps=10, sample_rate=16000)
    content = film.read_bytes()
    at = content.index(b"avc1")
    made += [folder / "size.mp4", folder / "length.mp4"]
    made[-2].write_bytes(content[: at + 28] + b"\xff\xff\xff\xff" + content[at + 32 :])
    at = content.index(b"mvhd")
    made[-1].write_bytes(content[: at + 20] + b"\xff\xff\xff\xff" + content[at + 24 :])
    return made


def main() -> None:
    """Read the files that are given, and print of each the reason why not, and the most memory that was held."""
    for name in sys.argv[1:]:
        for modality in ("audio", "visual"):
            key = Key(name, 1, 1, 0.0, None)
            print(repr(decode(find_reader(READER), key, MediaSpec(seconds=1.0), (modality,)).reason), flush=True)
    # Not getrusage: its peak counts what the process was forked from.
    print(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
