"""A process that decodes clips: a task comes in by standard input, arrays or a reason go out by standard output.

A process of its own, started afresh: damaged media can crash or hang FFmpeg, and that must not end the run. It is no
``multiprocessing`` process, because those run the user's script again (spawn) or inherit its threads (fork).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from counterpoint._limits import DECODER_BYTES
from counterpoint.data.cache.shards import Array, Facts, Key, array_shapes
from counterpoint.errors import MediaError, one_line
from counterpoint.media.clip import SILENT
from counterpoint.media.spec import MediaSpec

if TYPE_CHECKING:
    from counterpoint.media.clip import DecodedClip

READER = "counterpoint.media.decode:read_clip"
READY = "ready"


@dataclass(frozen=True)
class Answer:
    """What came of one clip.

    Attributes:
        arrays: modality -> array; empty if the clip cannot be used.
        facts: what was seen of it on the way.
        reason: why not.
        lasting: the reason lies in the file, so that there is no use in trying again.
    """

    arrays: dict[str, Array] = field(default_factory=dict)
    facts: Facts = field(default_factory=Facts)
    reason: str = ""
    lasting: bool = False


def find_reader(name: str) -> Callable[..., Any]:
    """The function ``module:name`` that reads a clip."""
    module, function = name.split(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def decode(read: Callable[..., Any], key: Key, spec: MediaSpec, modalities: Sequence[str]) -> Answer:
    """Read one clip; whatever goes wrong becomes a reason."""
    try:
        clip = read(
            key.path,
            spec,
            start=key.start,
            end=key.end,
            modalities=modalities,
            audio=key.audio and key.audio.path,
            landmarks=key.landmarks and key.landmarks.path,
            landmarks_size=key.landmarks_size,
        )
    except MediaError as error:
        whose = "" if str(error.path) == key.path else f"{error.path.name}: "  # the clip's sound, or its landmarks
        return Answer(reason=whose + error.reason, lasting=True)
    except MemoryError:
        return Answer(reason="there was not enough memory to read it")
    except Exception as error:  # one clip must never end the run; max_bad stops it if this meets many
        return Answer(reason=f"unexpected {type(error).__name__}: {one_line(error)}")
    arrays = {modality: getattr(clip, modality) for modality in modalities}
    for modality, array in arrays.items():
        shape, dtype = array_shapes(spec)[modality]
        if array is None or array.shape != shape or array.dtype != dtype:
            got = None if array is None else (array.shape, str(array.dtype))
            return Answer(reason=f"its {modality} was read as {got}, not as {(shape, str(dtype))}")
    return Answer(arrays, _facts(key, clip))


def _facts(key: Key, clip: DecodedClip) -> Facts:
    # A header may claim any length; one of less than a byte for a second is none that a sound or pictures have.
    brought = key.size + (key.audio.size if key.audio else 0)
    ends = [end for end in (key.end, clip.seconds) if end is not None and (end == key.end or end <= brought)]
    gap = any(note != SILENT for note in clip.notes)
    return Facts(max(0.0, min(ends) - key.start) if ends else None, clip.silent, gap)


def main() -> None:
    """Answer tasks until standard input ends. First comes ``(spec, modalities, reader)``, then one key per clip."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    _bound_memory()
    with os.fdopen(os.dup(1), "wb") as out, contextlib.suppress(EOFError, BrokenPipeError):
        os.dup2(2, 1)  # whatever else prints must not fall into the answers
        spec, modalities, reader = pickle.load(sys.stdin.buffer)
        read = find_reader(reader)
        pickle.dump(READY, out)
        out.flush()
        while True:
            answer = decode(read, pickle.load(sys.stdin.buffer), spec, modalities)
            pickle.dump(answer, out, protocol=pickle.HIGHEST_PROTOCOL)
            out.flush()


def _bound_memory() -> None:
    """What asks for more is told that there is none, before the machine has to look for a process to end."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        soft = DECODER_BYTES if most == resource.RLIM_INFINITY else min(DECODER_BYTES, most)
        resource.setrlimit(resource.RLIMIT_AS, (soft, most))
