"""FOP's features of faces and voices as a dataset: who is it? Read from its CSV files once, and then from HDF5."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from counterpoint._atomic import replacing
from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets._fop_files import FopFeatures, read_test, read_training, test_files, training_files
from counterpoint.data.datasets.shuu import PairTables
from counterpoint.data.feature_rows import FeatureRow, Features
from counterpoint.data.io.hdf5 import import_h5py, open_hdf5
from counterpoint.data.io.paths import cache_root, default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import draw_split
from counterpoint.data.trials import TrialList
from counterpoint.media.spec import MediaSpec

WHERE = "features of VoxCeleb1's faces and voices (Saeed et al. 2022); FOP's repository says how they are made"


@dataset("fop", tasks=("speaker",), where=WHERE)
def load_fop(root: Path | None, task: str, seed: int, *, val: float = 0.05, test: float = 0.05) -> ClipTable:
    """List the training pairs of ``faceTrain.csv`` and ``voiceTrain.csv``, each a face and a voice of one speaker.

    The files are read as a whole the first time; what they hold then lies in the cache, which later runs read clip by
    clip. The test pairs, of which many are of two speakers, are `pair_tables`.

    Args:
        root: folder with the files; None: ``datasets/fop`` in the cache.
        task: ``speaker``.
        seed: of the drawn split.
        val: share of each speaker's pairs.
        test: likewise.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: a file with other columns or values than FOP's, or a speaker with too few pairs.
        ConfigError: a value outside its range.
    """
    root = default_root("fop") if root is None else root
    path = _converted(training_files(root), lambda: read_training(root))
    with open_hdf5(path) as file:
        speakers = tuple(name.decode() for name in file["speakers"][()])
        target = file["target"][()].tolist()
    ids = [f"{speakers[label]}/{row}" for row, label in enumerate(target, 1)]
    labels = {name: speakers[label] for name, label in zip(ids, target, strict=True)}
    drawn = draw_split("fop", labels, val=val, test=test, seed=seed)
    return ClipTable(
        name="fop/speaker",
        classes=speakers,
        clips=tuple(Clip(name, path, label, drawn.sides[name]) for name, label in zip(ids, target, strict=True)),
        media=MediaSpec(),
        notes=(
            WHERE + ".",
            f"{len(speakers)} speakers. The files do not say which pairs are of one video: it may stand on both sides.",
            *drawn.notes,
        ),
        features=_features(path, {"audio": ids, "visual": ids}),
        group_word="source video",
    )


def pair_tables(pairs: str, root: str | Path | None = None) -> PairTables:
    """The test pairs, with tables of their voices and faces.

    Args:
        pairs: which: ``"unseenunheard"``, ``"seenheard"``; or the name of one of the two files.
        root: as of `load_fop`.

    Raises:
        DatasetNotFoundError: a file is not there.
        DataError: a file with other columns or values than FOP's.
    """
    root = default_root("fop") if root is None else Path(root).expanduser()
    which = Path(pairs).stem.rpartition("_")[2]
    path = _converted(test_files(root, which), lambda: read_test(root, which))
    with open_hdf5(path) as file:
        target = file["target"][()].astype(bool)
    rows = np.arange(len(target))
    voices, faces = ([f"{kind}/{row}" for row in (rows + 1).tolist()] for kind in ("voice", "face"))
    return PairTables(
        TrialList(f"fop/{which}", (*voices, *faces), rows, rows + len(rows), target),
        *(
            ClipTable(
                name=f"fop/{kind}s",
                classes=("unknown",),
                clips=tuple(Clip(name, path, 0, "test") for name in names),
                media=MediaSpec(),
                notes=(WHERE + ".",),
                features=_features(path, {modality: names}),
            )
            for kind, modality, names in (("voice", "audio", voices), ("face", "visual", faces))
        ),
    )


def _features(path: Path, names: Mapping[str, Sequence[str]]) -> Features:
    return Features(
        {m: {name: FeatureRow(path, m, row) for row, name in enumerate(ids)} for m, ids in names.items()},
        standardise=False,
    )


def _converted(files: Mapping[str, Path], read: Callable[[], FopFeatures]) -> Path:
    """The files as one HDF5 file in the cache, which is made where they have not been read as they are now."""
    key = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files.values()]
    digest = hashlib.sha256(repr(key).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    path = cache_root() / "fop" / f"{digest}.h5"
    if not path.is_file():
        _write(path, read())
    return path


def _write(path: Path, pairs: FopFeatures) -> None:
    with replacing(path, shared=True) as part, import_h5py(path).File(part, "w") as file:
        for modality, rows in pairs.features.items():
            file[modality] = rows
        file["target"] = pairs.target
        if pairs.speakers:
            file["speakers"] = [name.encode() for name in pairs.speakers]
