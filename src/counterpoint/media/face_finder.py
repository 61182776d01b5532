"""Where the face is in a clip: by the detector that the extra ``faces`` brings along, weights included.

The detector is OpenCV's cascade for frontal faces (Viola and Jones, "Rapid object detection using a boosted cascade of
simple features", CVPR 2001).
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from counterpoint.errors import ConfigError, MediaError
from counterpoint.media.faces import FaceTrack

_LONGER = 512  # the longer side of the pictures that are searched, pixels
_SMALLEST = 0.1  # the smallest face, as a share of the shorter side: below, cascades take patterns for faces


def weights_path() -> Path:
    """The detector's weights.

    Raises:
        ConfigError: no package is installed that has them.
    """
    found = find_spec("cv2")
    path = Path(found.origin if found and found.origin else "").parent / "data" / "haarcascade_frontalface_default.xml"
    if found is None or not path.is_file():
        raise ConfigError(
            "media.crop is 'face', which needs the extra 'faces' (opencv-python-headless below 5, which has the "
            "detector's weights): pip install 'counterpoint[faces]'"
        )
    return path


def is_installed() -> bool:
    """Whether there is a detector."""
    try:
        weights_path()
    except ConfigError:
        return False
    return True


def find_face(path: Path, pictures: NDArray[np.uint8], size: tuple[int, int]) -> FaceTrack:
    """One box for a clip: the median of the faces in its pictures, which holds still where the detector jitters.

    Args:
        path: of the clip, for messages.
        pictures: ``(N, S, S)``, gray, upright, stretched to squares.
        size: width and height of the pictures before that, pixels.

    Raises:
        MediaError: fewer than half of the pictures have a face in one place.
        ConfigError: the extra is not installed.
    """
    found = [box for picture in pictures if (box := _surest(picture, size)) is not None]
    if 2 * len(found) < len(pictures):
        raise MediaError(path, f"a face was found in {len(found)} of {len(pictures)} frames; media.crop is 'face'")
    boxes = np.stack(found)
    middle = np.median(boxes, axis=0)
    apart = np.abs(_centres(boxes) - _centres(middle)).max(axis=-1)
    near = boxes[apart <= (middle[2] - middle[0]) / 2]
    if 2 * len(near) < len(pictures):
        raise MediaError(path, "its frames have faces in different places; media.crop is 'face', of one per clip")
    return FaceTrack(path, np.zeros(1), np.median(near, axis=0)[None] * np.tile(size, 2), size)


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _surest(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64] | None:
    """The box of the surest face, left, top, right, bottom as fractions; None: there is none."""
    import cv2

    width, height = (max(1, round(side * _LONGER / max(size))) for side in size)
    smallest = round(_SMALLEST * min(width, height))
    boxes, _, sure = _detector().detectMultiScale3(
        cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA),
        scaleFactor=1.1,
        minNeighbors=4,
        minSize=(smallest, smallest),
        outputRejectLevels=True,
    )
    if not len(boxes):
        return None
    left, top, across, down = boxes[int(np.argmax(sure))]
    box = np.array([left, top, left + across, top + down], np.float64)
    return box / np.array([width, height, width, height], np.float64)


@functools.cache
def _detector() -> Any:
    import cv2

    cv2.setNumThreads(1)  # clips are decoded by several processes
    return cv2.CascadeClassifier(str(weights_path()))
