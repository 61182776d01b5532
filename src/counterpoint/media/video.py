"""Collect the picture of one segment of a file: frames on a fixed grid of times, cropped, resized, upright."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from counterpoint.media.spec import Crop, MediaSpec

# Matroska and FLV round time stamps to 1 ms: the frame due at 66.7 ms may be stamped 67.
_ROUNDING = 0.002
_LUMA_IN_FIRST_PLANE = frozenset(
    {"nv12", "nv21", "gray"} | {f"yuv{j}{n}p" for j in ("", "j") for n in (410, 411, 420, 422, 440, 444)}
)
# Without it, colours of deeper than 8 bits come 2 to 3 levels too dark; the usual formats are right, and faster.
_EXACT = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
# Luma of limited range, 16 to 235, to 0 to 255. As a table of bytes: several times faster than NumPy's arithmetic.
_TO_FULL = bytes(min(255, max(0, round((level - 16) * 255 / 219))) for level in range(256))


# FFmpeg numbers kinds of side data from 0; it has 33 so far.
_KINDS = range(64)


class Orientation(NamedTuple):
    """How the stored picture is turned upright: transposed first, then turned over."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """From the display matrix ``(a, b, u, c, d, v, x, y, w)``: a stored ``(p, q)`` shows at ``(ap + cq, bp + dq)``.

        Angles between the quarter turns go to the nearest one.
        """
        try:
            side_data: Mapping[str, object] = frame.side_data
        except ValueError:  # PyAV takes no frame with side data that it does not know
            side_data = _with_known_side_data(frame).side_data
        matrix = side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls()
        raw = bytes(matrix)  # type: ignore[call-overload]
        if len(raw) < 36:
            return cls()
        a, b, _, c, d = np.frombuffer(raw, np.int32, count=5).tolist()
        if abs(b) > abs(a):
            return cls(True, b < 0, c < 0)
        return cls(False, d < 0, a < 0)

    def stored_crop(self, crop: Crop) -> Crop:
        """A crop of the upright picture, ``(left, top, right, bottom)`` in fractions, in the stored one."""
        left, top, right, bottom = crop
        if self.flip_columns:
            left, right = 1 - right, 1 - left
        if self.flip_rows:
            top, bottom = 1 - bottom, 1 - top
        return (top, left, bottom, right) if self.transpose else (left, top, right, bottom)

    def upright(self, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Stored ``(T, H, W, C)`` to upright."""
        if self.transpose:
            pictures = pictures.swapaxes(1, 2)
        rows = slice(None, None, -1 if self.flip_rows else 1)
        columns = slice(None, None, -1 if self.flip_columns else 1)
        return np.ascontiguousarray(pictures[:, rows, columns])


def _with_known_side_data(frame: VideoFrame) -> VideoFrame:
    """A frame as it is, but for side data that PyAV has no name for (EXIF, the views of spatial video)."""
    graph = Graph()
    nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))]
    unknown = (kind for kind in _KINDS if kind not in Type._value2member_map_)
    nodes += [graph.add("sidedata", f"mode=delete:type={kind}") for kind in unknown]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


class _Cropper:
    """Cut a window out of frames without copying a pixel (FFmpeg's crop filter moves pointers)."""

    def __init__(self, frame: VideoFrame, crop: Crop, orientation: Orientation) -> None:
        left, top, right, bottom = orientation.stored_crop(crop)
        # Even corners keep the halved colour planes in step with luma.
        x = min(round(left * frame.width) // 2 * 2, frame.width - 1)
        y = min(round(top * frame.height) // 2 * 2, frame.height - 1)
        width = max(1, min(round(right * frame.width), frame.width) - x)
        height = max(1, min(round(bottom * frame.height), frame.height) - y)
        self.setup = (crop, frame.width, frame.height, frame.format.name)
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000)
        )
        window = self._graph.add("crop", f"w={width}:h={height}:x={x}:y={y}:exact=1")
        self._graph.link_nodes(source, window, self._graph.add("buffersink")).configure()

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        self._graph.vpush(frame)
        return self._graph.vpull()


class _Converter:
    """Frames to arrays ``(size, size, channels)``, by one reformatter with one thread.

    swscale's default of a thread per core is four times slower on pictures of this size.
    """

    def __init__(self, size: int, gray: bool) -> None:
        self.size, self.gray = size, gray
        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, out: NDArray[np.uint8]) -> None:
        if self.gray:
            self._luma(frame, out)
            return
        deep = frame.format.name not in _LUMA_IN_FIRST_PLANE
        picture = self._reformatter.reformat(
            frame, self.size, self.size, "rgb24", interpolation=_EXACT if deep else Interpolation.BILINEAR, threads=1
        )
        _copy_plane(picture, out, 3)

    def _luma(self, frame: VideoFrame, out: NDArray[np.uint8]) -> None:
        """The luma of the file, of full range; the sum of red, green and blue as BT.601 has it, if it stores those."""
        pixels = frame.format
        options: dict[str, Any] = {}
        limited = False
        if len(pixels.components) >= 3 and not pixels.is_rgb and not pixels.has_palette:
            limited = frame.color_range != ColorRange.JPEG and not pixels.name.startswith("yuvj")
            # Told so, swscale passes luma through as it is. Left alone, it mixes colour in, to get BT.601's gray.
            options = {"src_color_range": ColorRange.JPEG, "src_colorspace": Colorspace.ITU601}
        if pixels.name not in _LUMA_IN_FIRST_PLANE or (frame.width, frame.height) != (self.size, self.size):
            frame = self._reformatter.reformat(
                frame, self.size, self.size, "gray", interpolation=Interpolation.BILINEAR, threads=1, **options
            )
        _copy_plane(frame, out, 1)
        if limited:
            out[...] = np.frombuffer(out.tobytes().translate(_TO_FULL), np.uint8).reshape(out.shape)


def _copy_plane(frame: VideoFrame, out: NDArray[np.uint8], channels: int) -> None:
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8, count=frame.height * plane.line_size).reshape(
        frame.height, plane.line_size
    )
    out.reshape(frame.height, frame.width * channels)[...] = rows[:, : frame.width * channels]


class Scaler:
    """Frames to arrays, cropped and resized; one serves any number of segments of a file, one after another.

    Args:
        spec: which size and colours.
    """

    def __init__(self, spec: MediaSpec) -> None:
        self._convert = _Converter(spec.size, spec.gray)
        self._cropper: _Cropper | None = None

    def __call__(self, frame: VideoFrame, crop: Crop, orientation: Orientation, out: NDArray[np.uint8]) -> None:
        """Write what `crop` keeps of the upright picture to `out`, as it is stored, ``(size, size, C)``."""
        if crop != (0.0, 0.0, 1.0, 1.0):
            if self._cropper is None or self._cropper.setup != (crop, frame.width, frame.height, frame.format.name):
                self._cropper = _Cropper(frame, crop, orientation)
            frame = self._cropper(frame)
        self._convert(frame, out)


class VideoCollector:
    """Frames at given times: for each the last one at or before it, or the first there is.

    Only frames that are taken are converted.

    Args:
        start: seconds on the clock of the frames' time stamps.
        end: seconds on the same clock; after it the last frame before it stays.
        due: times of the frames, rising, on the same clock.
        spec: which size.
        time_base: seconds per unit of the time stamps (flushed frames do not know it themselves).
        period: seconds between two frames of the file.
        max_pixels: larger pictures are rejected.
        crop_at: what is kept of the upright picture shown at a time and of a width and height, instead of `spec.crop`.
        scaler: of the same shape, that others use as well; None: one of its own.
    """

    def __init__(
        self,
        start: float,
        end: float,
        due: Sequence[float],
        spec: MediaSpec,
        time_base: float,
        period: float,
        max_pixels: int,
        crop_at: Callable[[float, int, int], Crop] | None = None,
        scaler: Scaler | None = None,
    ) -> None:
        self.start, self.end, self.spec = start, end, spec
        self.time_base, self.period, self.max_pixels = time_base, period, max_pixels
        self.out: NDArray[np.uint8] = np.empty((len(due), spec.size, spec.size, spec.channels), np.uint8)
        self.shown: list[float] = []  # for each time that was served: when its frame came on; NaN of a damaged one
        self.first: float | None = None  # time of the first decoded frame
        self.last: float | None = None  # time of the last decoded frame before `end`
        self.done = False
        self._due = [time + _ROUNDING for time in due]
        self._crop_at = crop_at
        self._filled = 0
        self._held: VideoFrame | None = None
        self._orientation: Orientation | None = None
        self._scale = scaler or Scaler(spec)

    def add(self, frame: VideoFrame) -> None:
        """Take the next decoded frame in order of presentation."""
        if frame.width * frame.height > self.max_pixels:
            raise ValueError(f"picture of {frame.width} x {frame.height} pixels is too large")
        time = (frame.pts or 0) * self.time_base
        if self.last is not None and time < self.last:
            return  # stamped before what was already shown: damaged
        if self.first is None:
            self.first = time
        if time >= self.end:
            self.done = True
            return
        self._put_down(until=time)
        self._held, self.last = frame, time
        self.done = self._filled == len(self._due)

    def flush(self) -> None:
        """The last frame stays to the end of the segment."""
        if self._held is not None:
            self._put_down(until=float("inf"))
            self._held = None

    def fresh(self, low: float, high: float, came_on: Callable[[float], float] | None = None) -> tuple[int, int]:
        """For how many of the times in ``[low, high)`` the frame was found that is on then, and how many they are.

        Args:
            low: seconds, on the clock of the time stamps.
            high: seconds, on the same clock.
            came_on: when the picture came on that is on at a time; None: just before it.
        """
        both = zip_longest(self._due, self.shown, fillvalue=math.nan)
        times = [(due, seen) for due, seen in both if low <= due < high]
        late = 1.5 * self.period + _ROUNDING
        return sum((due if came_on is None else came_on(due)) - seen <= late for due, seen in times), len(times)

    def upright(self) -> NDArray[np.uint8]:
        """The frames collected, ``(T, H, W, C)``."""
        return (self._orientation or Orientation()).upright(self.out)

    def _put_down(self, until: float) -> None:
        """Write the held frame to every grid time before `until`; times before the first frame get the first."""
        if self._held is None:
            return
        begin = self._filled
        while self._filled < len(self._due) and self._due[self._filled] < until:
            self._filled += 1
        shown = math.nan if self._held.is_corrupt or self.last is None else self.last
        self.shown += [shown] * (self._filled - begin)
        if begin < self._filled:
            self._write(self._held, self.last or 0.0, self.out[begin])
            self.out[begin + 1 : self._filled] = self.out[begin]

    def _write(self, frame: VideoFrame, time: float, out: NDArray[np.uint8]) -> None:
        if self._orientation is None:
            self._orientation = Orientation.of(frame)
        crop = self.spec.crop
        if self._crop_at is not None:
            size = (frame.height, frame.width) if self._orientation.transpose else (frame.width, frame.height)
            crop = self._crop_at(time, *size)
        if crop == "face":
            raise ValueError("to crop to the face, where it is must be found first")
        self._scale(frame, crop, self._orientation, out)
