"""Where the face is in a video: from a table of its points per frame, as OpenFace writes it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from counterpoint._limits import TABLE_BYTES, read_bytes
from counterpoint.errors import MediaError
from counterpoint.media.files import cells_of, what_is_wrong
from counterpoint.media.source import failing_as_media_error
from counterpoint.media.spec import Crop

_POINT = re.compile(r"([xy])_(\d+)")  # X_0 is a point in space, eye_lmk_x_0 one of an eye


class Faces(Protocol):
    """Whoever tells what is kept of a picture; see `FaceTrack.crop`."""

    def crop(self, time: float, width: int, height: int, margin: float = 0.0) -> Crop:
        """Fractions ``(left, top, right, bottom)`` of the upright picture."""


@dataclass(frozen=True)
class FaceTrack:
    """The smallest box around the points of a face, at each moment at which one was found.

    Attributes:
        path: the table it comes from.
        times: float64 ``(N,)``, seconds from the first frame of the video, rising; N >= 1.
        boxes: float64 ``(N, 4)``: left, top, right, bottom in pixels of the upright picture.
        size: width and height of the picture that the pixels are of; None: of whichever is cropped.
    """

    path: Path
    times: NDArray[np.float64]
    boxes: NDArray[np.float64]
    size: tuple[int, int] | None = None

    def crop(self, time: float, width: int, height: int, margin: float = 0.0) -> Crop:
        """The face nearest in time, as fractions ``(left, top, right, bottom)`` of the upright picture.

        Args:
            time: seconds from the first frame.
            width: of the picture to be cropped, pixels.
            height: of the picture, pixels.
            margin: how far the box is widened to each side, as a share of its width and height.

        Raises:
            MediaError: the box lies outside the picture.
        """
        across, down = self.size or (width, height)
        left, top, right, bottom = self.boxes[np.abs(self.times - time).argmin()].tolist()
        more_x, more_y = margin * (right - left), margin * (bottom - top)
        left, right = max(0.0, (left - more_x) / across), min(1.0, (right + more_x) / across)
        top, bottom = max(0.0, (top - more_y) / down), min(1.0, (bottom + more_y) / down)
        if not (left < right and top < bottom):
            raise MediaError(
                self.path,
                f"the face lies outside the picture of {across} x {down} pixels; "
                "the landmarks are of another video, or of one of another size (landmarks_size)",
            )
        return left, top, right, bottom


def read_landmarks(path: str | Path, size: tuple[int, int] | None = None) -> FaceTrack:
    """Read a table of face points, one line per frame, as OpenFace writes it.

    Columns go by their names in the first line, whatever else stands between them: ``timestamp`` (seconds),
    ``x_0, x_1, ...`` and ``y_0, y_1, ...`` (points in pixels), and where they are there, ``success`` (0: no face was
    found) and ``confidence`` (of several faces at one moment the surest one is taken).

    Args:
        path: the CSV file.
        size: width and height, pixels, of the video in which the points were found; None: of the one to be cropped.

    Raises:
        MediaError: the file is missing, empty or a Git LFS pointer; a column or a number is missing, with its line; or
            no frame has a face.
    """
    path = Path(path)
    if wrong := what_is_wrong(path):
        raise MediaError(path, wrong)
    with failing_as_media_error(path):
        table = cells_of(read_bytes(path, TABLE_BYTES).decode("utf-8-sig"))
        columns = _Columns.of(path, [name.strip() for name in next(table, (0, []))[1]])
        found: dict[float, tuple[float, NDArray[np.float64]]] = {}
        for line, cells in table:
            face = columns.face(path, line, cells) if cells else None
            if face is not None:
                time, confidence, box = face
                if time not in found or found[time][0] < confidence:
                    found[time] = (confidence, box)
    if not found:
        raise MediaError(path, "no frame of it has a face")
    times = sorted(found)
    return FaceTrack(path, np.array(times), np.stack([found[time][1] for time in times]), size)


@dataclass(frozen=True)
class _Columns:
    """Which column holds what."""

    count: int
    time: int
    success: int | None
    confidence: int | None
    x: list[int]
    y: list[int]

    @classmethod
    def of(cls, path: Path, header: list[str]) -> _Columns:
        at = {name: index for index, name in enumerate(header)}
        points = {axis: {m[2] for m in map(_POINT.fullmatch, header) if m and m[1] == axis} for axis in "xy"}
        numbers = sorted(points["x"] | points["y"] | {"0"}, key=int)
        for name in ("timestamp", *(f"{axis}_{n}" for n in numbers for axis in "xy")):
            if name not in at:
                raise MediaError(path, f"its first line has no column {name!r}, so it is no table of face landmarks")
        return cls(
            len(header),
            at["timestamp"],
            at.get("success"),
            at.get("confidence"),
            [at[f"x_{n}"] for n in numbers],
            [at[f"y_{n}"] for n in numbers],
        )

    def face(self, path: Path, line: int, cells: list[str]) -> tuple[float, float, NDArray[np.float64]] | None:
        """Time, confidence and box of one line; None where it says that there is no face."""
        if len(cells) != self.count:
            raise MediaError(path, f"line {line} has {len(cells)} cells, the first line has {self.count}")
        try:
            time = float(cells[self.time])
            if self.success is not None and float(cells[self.success]) != 1:
                return None
            confidence = 0.0 if self.confidence is None else float(cells[self.confidence])
            x = [float(cells[index]) for index in self.x]
            y = [float(cells[index]) for index in self.y]
        except ValueError as error:
            raise MediaError(path, f"line {line}: {error}") from None
        if not math.isfinite(time):
            raise MediaError(path, f"line {line}: the timestamp is {time}")
        box = np.array([min(x), min(y), max(x), max(y)])
        is_box = np.isfinite(x).all() and np.isfinite(y).all() and box[0] < box[2] and box[1] < box[3]
        return (time, confidence, box) if is_box else None
