"""Stand-ins for the decoder that do what damaged media make it do; they are named to the decoding processes as
``fake_readers:NAME`` and obey the content of the clip's file."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from counterpoint.errors import MediaError
from counterpoint.media.clip import DecodedClip


def obedient(path, spec, *, start=0.0, end=None, modalities=("audio", "visual"), **beside):
    """A number fills the arrays; a word makes the reader misbehave."""
    order = Path(path).read_text()
    if order == "bad":
        raise MediaError(path, "has no sound")
    if order == "crash":
        sys.stderr.write("free(): invalid pointer\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGSEGV)
    if order == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if order == "exit":
        os._exit(3)
    if order == "hang":
        time.sleep(1000)
    if order == "greedy":
        bytearray(2**34)
    if order == "bug":
        raise ZeroDivisionError("oops")
    if order == "shape":
        return DecodedClip(np.zeros(3, np.int16), None)
    print("noise on standard output")  # must not fall into the answers
    number = int(order)
    frames = (spec.num_frames, spec.size, spec.size, spec.channels)
    audio = np.full(spec.num_samples, number, np.int16) + np.int16(start * 1000)
    return DecodedClip(
        audio if "audio" in modalities else None,
        np.full(frames, number % 256, np.uint8) if "visual" in modalities else None,
    )
