"""Evaluate a trained classifier of speakers by trials: pairs of utterances, or of a voice and a face."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from counterpoint import _atomic
from counterpoint._checksums import is_whole
from counterpoint._limits import read_json
from counterpoint.data import DATASETS
from counterpoint.data.datasets._fop_files import test_files
from counterpoint.data.io.media_files import find_list
from counterpoint.data.io.paths import default_root
from counterpoint.data.quality import check_usable
from counterpoint.errors import ConfigError, DatasetNotFoundError
from counterpoint.training.config import DataConfig
from counterpoint.training.load import Run
from counterpoint.training.run_dir import nan_for_null
from counterpoint.verify.trial_lists import ScoredTrials, score_list
from counterpoint.verify.trial_sets import FEATURES, PAIRS, TRIALS, read_trial_set, require_pictures

FOUND = "verification.json"


@dataclass(frozen=True)
class Verified:
    """What one model reaches on one list.

    Attributes:
        EER: 0 to 1.
        AUC: 0 to 1.
        minDCF: normalised, at a target prior of 0.01.
        trials: how many were scored.
        missing: what had to be left out, in words; empty: nothing.
    """

    EER: float
    AUC: float
    minDCF: float
    trials: int
    missing: str = ""


def find_trial_lists(lists: Mapping[str, str], data: DataConfig) -> dict[str, Path]:
    """Where the lists of trials lie: in the dataset's folder, a folder in it, or where its option ``lists`` says.

    Raises:
        DatasetNotFoundError: one is not there.
        ConfigError: a dataset without trials.
    """
    if lists and data.name not in (PAIRS, TRIALS, FEATURES):
        raise ConfigError(f"trials are of {TRIALS}, {PAIRS} or {FEATURES}, not of {data.name}")
    root = default_root(data.name) if data.root is None else Path(data.root).expanduser()
    if data.name == FEATURES:
        return _feature_files(lists, root)
    found = {}
    for name, file in lists.items():
        path = find_list(root, data.options.get("lists"), (file,))
        if path is None:
            raise DatasetNotFoundError(
                f"There is no {file}, the trials of {name}, in {root} or a folder in it. They belong to "
                f"{DATASETS.get(data.name).where}"
            )
        found[name] = path
    return found


def _feature_files(lists: Mapping[str, str], root: Path) -> dict[str, Path]:
    """One of the two files of each list; of those that are there, since FOP publishes one kind alone."""
    found: dict[str, Path] = {}
    for name, pairs in lists.items():
        with contextlib.suppress(DatasetNotFoundError):
            found[name] = test_files(root, pairs)["visual"]
    return found or {name: test_files(root, pairs)["visual"] for name, pairs in reversed(list(lists.items()))}


def check_trials(lists: Mapping[str, Path], data: DataConfig, modalities: Collection[str]) -> None:
    """Refuse lists that could not be scored once everything is trained.

    Args:
        lists: name -> file.
        data: the dataset that they are of.
        modalities: those of the models.

    Raises:
        DataError: a list that is damaged, of whose clips too many are missing or have no picture to be seen
            (``data.max_bad``), or whose trials that are left are all of one kind.
    """
    for path in lists.values():
        found = read_trial_set(data, path)
        for table in found.sides.values():
            check_usable(table, {clip.id for clip in table.clips}, table.rejected, data.max_bad)
        found.available()[0].require_both_kinds()
        require_pictures(found, modalities, data.max_bad)


def verify(run: Run, lists: Mapping[str, Path]) -> dict[str, Verified]:
    """Score every list with a run's best weights; written to ``verification.json`` in its folder, and read from there
    the next time, unless something that was missing then has been found since.

    Args:
        run: finished, trained to tell speakers apart. Pairs of a voice and a face need the fusion ``fop``.
        lists: name -> file.

    Raises:
        DataError: a list that is damaged, or of whose utterances too many are missing (``data.max_bad``).
        ConfigError: a model that cannot embed one modality by itself.
    """
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in lists.items()}
    path = run.folder / FOUND
    written = read_json(path) if is_whole(path) else {}
    if written.get("lists") == digests:
        kept = {name: Verified(**nan_for_null(values)) for name, values in written["found"].items()}
        if all(one.missing in ("", _missing_now(run, lists[name])) for name, one in kept.items()):
            return kept
    try:
        found = {name: _evaluated(score_list(run, listed, strict=True)) for name, listed in lists.items()}
    finally:
        run.module.cpu()
    _atomic.write_json(
        path, {"lists": digests, "found": {name: asdict(each) for name, each in found.items()}}, checked=True
    )
    return found


def _missing_now(run: Run, path: Path) -> str:
    return read_trial_set(run.config.data, path).available()[1].note()


def _evaluated(found: ScoredTrials) -> Verified:
    """By all modalities together, which come first."""
    curve = next(iter(found.curves().values()))
    return Verified(curve.eer().value, curve.roc_auc(), curve.min_dcf().value, len(found.trials), found.missing.note())
