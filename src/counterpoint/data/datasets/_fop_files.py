"""Reads features of faces and voices from the CSV files that FOP's released code trains and tests on.

``faceTrain.csv`` and ``voiceTrain.csv`` have a line per training pair: the features, then the speaker.
``face_veriflist_test_unseenunheard.csv`` and ``voice_...`` have a line per test pair, first one of the same speaker,
then one of two, and so on in turn; no column says so.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.io.media_files import find_list
from counterpoint.errors import DataError, DatasetNotFoundError, quoted
from counterpoint.media.files import LFS_POINTER, is_lfs_pointer

DIMS = {"audio": 512, "visual": 4096}
"""Width of the features: voices by Utterance Level Aggregation, faces by VGGFace."""

_FILES = {"audio": "voice", "visual": "face"}
_WHERE = "FOP's repository (msaadsaeed/FOP) links to its lists and says how features are made"


@dataclass(frozen=True, eq=False)
class FopFeatures:
    """Features of N pairs.

    Attributes:
        features: ``{"audio": float32 (N, 512), "visual": float32 (N, 4096)}``.
        target: of training pairs, indices into `speakers`, int64 ``(N,)``; of test pairs, 1 where voice and face are of
            one speaker and 0 where they are of two.
        speakers: names of the training speakers, sorted; empty for test pairs.
    """

    features: dict[str, NDArray[np.float32]]
    target: NDArray[np.int64]
    speakers: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.target)


def read_training(folder: str | Path) -> FopFeatures:
    """The training pairs, each of a face and a voice of one speaker.

    Args:
        folder: where ``faceTrain.csv`` and ``voiceTrain.csv`` lie, or a folder above.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: a file with other columns or values than these, or two that do not belong together.
    """
    paths = training_files(folder)
    speakers = {modality: _speakers(path, DIMS[modality]) for modality, path in paths.items()}
    _check_rows(paths, {modality: len(names) for modality, names in speakers.items()})
    for row, (voice, face) in enumerate(zip(speakers["audio"], speakers["visual"], strict=True), 1):
        if voice != face:
            raise DataError(
                f"{paths['audio']}, line {row}: the speaker is {quoted(voice)}, but {quoted(face)} in {paths['visual']}"
            )
    names, target = np.unique(np.array(speakers["visual"]), return_inverse=True)
    features = {modality: _numbers(path, DIMS[modality]) for modality, path in paths.items()}
    return FopFeatures(features, target.reshape(-1).astype(np.int64), tuple(str(name) for name in names))


def training_files(folder: str | Path) -> dict[str, Path]:
    """Modality -> file of the training pairs.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: it is a pointer of Git LFS.
    """
    return {modality: _path(folder, (f"{name}Train.csv",)) for modality, name in _FILES.items()}


def read_test(folder: str | Path, pairs: str = "unseenunheard") -> FopFeatures:
    """The test pairs, in turn of one speaker and of two.

    Args:
        folder: where the files lie, or a folder above.
        pairs: which: ``"unseenunheard"`` is what FOP publishes; its own Seen-Heard files would be ``"seenheard"``.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: a file with other columns or values than these, or two of different length.
    """
    paths = test_files(folder, pairs)
    features = {modality: _numbers(path, DIMS[modality]) for modality, path in paths.items()}
    _check_rows(paths, {modality: len(rows) for modality, rows in features.items()})
    target = (np.arange(len(features["visual"])) + 1) % 2
    return FopFeatures(features, target.astype(np.int64))


def test_files(folder: str | Path, pairs: str) -> dict[str, Path]:
    """Modality -> file of the test pairs; see `read_test`.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: it is a pointer of Git LFS.
    """
    return {
        modality: _path(folder, (f"{name}_veriflist_test_{pairs}.csv", f"{name}_veriflist_test_random_{pairs}.csv"))
        for modality, name in _FILES.items()
    }


def _path(folder: str | Path, names: tuple[str, ...]) -> Path:
    path = find_list(Path(folder).expanduser(), None, names)
    if path is None:
        raise DatasetNotFoundError(f"There is no {names[0]} in {folder} or a folder in it; {_WHERE}")
    if is_lfs_pointer(path):
        raise DataError(f"{path}: {LFS_POINTER}")
    return path


def _speakers(path: Path, width: int) -> list[str]:
    """The cell behind the features, of every line."""
    speakers = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.count(",") != width or not line.rpartition(",")[2].strip():
                    raise DataError(f"{path}, line {number}: {width} features and a speaker must be in it")
                speakers.append(line.rpartition(",")[2].strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {error}") from None
    return speakers


def _numbers(path: Path, width: int) -> NDArray[np.float32]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            first = file.readline()
            if not first:
                raise DataError(f"{path} is empty")
            if first.count(",") + 1 < width:
                raise DataError(
                    f"{path}, line 1: it has {first.count(',') + 1} columns, but there are {width} features"
                )
            numbers: NDArray[np.float32] = np.loadtxt(
                itertools.chain([first], file), np.float32, delimiter=",", usecols=range(width), ndmin=2
            )
    except DataError:
        raise
    except (OSError, ValueError) as error:  # NumPy's errors say which row and column
        raise DataError(f"{path}: {error}") from None
    bad = np.flatnonzero(~np.isfinite(numbers).all(axis=1))
    if len(bad):
        raise DataError(f"{path}, line {bad[0] + 1}: a feature is not finite")
    return numbers


def _check_rows(paths: dict[str, Path], rows: dict[str, int]) -> None:
    if rows["audio"] != rows["visual"]:
        raise DataError(
            f"{paths['audio']} has {rows['audio']} lines and {paths['visual']} {rows['visual']}; each needs the other"
        )
