"""Judge a trained classifier of speakers by trials: pairs of utterances, or of a voice and a face."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from counterpoint.data import DATASETS, ClipTable, load_table
from counterpoint.data.mediafiles import find_list
from counterpoint.data.places import default_root
from counterpoint.data.trials import TrialList, read_trials
from counterpoint.errors import ConfigError, DatasetNotFoundError
from counterpoint.fusion.fop import FOP
from counterpoint.metrics import error_curve
from counterpoint.models import MultimodalModel
from counterpoint.training import folder as files
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import ClipData, prepare_clips
from counterpoint.training.precision import DTYPES, channels_last, pick_device
from counterpoint.training.run import Run
from counterpoint.verify import score_trials, trial_vectors

FOUND = "verification.json"

PAIRS, TRIALS = "shuu", "voxceleb"  # whose trials are of a voice and a face, and of two utterances

Encode = Callable[[dict[str, Tensor]], Tensor]


@dataclass(frozen=True)
class Verified:
    """What one model reaches on one list.

    Attributes:
        EER, AUC: 0 to 1.
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
    if lists and data.name not in (PAIRS, TRIALS):
        raise ConfigError(f"trials are of {TRIALS} or {PAIRS}, not of {data.name}")
    root = default_root(data.name) if data.root is None else Path(data.root).expanduser()
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


def verify(run: Run, lists: Mapping[str, Path]) -> dict[str, Verified]:
    """Score every list with a run's best weights; written to ``verification.json`` in its folder, and read from there
    the next time.

    Args:
        run: finished, trained to tell speakers apart. Pairs of a voice and a face need the fusion ``fop``.
        lists: name -> file.

    Raises:
        DataError: a list that is damaged, or of whose utterances too many are missing (``data.max_bad``).
        ConfigError: a model that cannot embed one modality by itself.
    """
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in lists.items()}
    path = run.folder / FOUND
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if written.get("lists") == digests:
        return {name: Verified(**values) for name, values in written["found"].items()}
    judge = _judge_pairs if run.config.data.name == PAIRS else _judge_trials
    with _on_device(run):
        found = {name: judge(run, listed) for name, listed in lists.items()}
    files.write_json(path, {"lists": digests, "found": {name: asdict(each) for name, each in found.items()}})
    return found


def _judge_trials(run: Run, path: Path) -> Verified:
    """By the cosine of the fused representations."""
    data = run.config.data
    table = load_table(data.name, data.root, seed=data.seed, trials=str(path))
    vectors = _encode(run, table, run.module.model.modalities, lambda batch: trial_vectors(run.module(batch)))
    trials, missing = read_trials(path).available(vectors)
    scores = score_trials(torch.stack([vectors[name] for name in trials.utterances]), trials)
    return _judged(scores, trials, missing.note())


def _judge_pairs(run: Run, path: Path) -> Verified:
    """By the distance of the two embeddings, as FOP does."""
    from counterpoint.data.shuu import pair_tables

    model = run.module.model
    if not isinstance(model, MultimodalModel) or not isinstance(model.fusion, FOP):
        raise ConfigError(f"{run.folder}: pairs of a voice and a face are judged by the fusion 'fop' alone")
    fusion = model.fusion

    def embed(modality: str) -> Encode:
        def one(batch: dict[str, Tensor]) -> Tensor:
            x = channels_last(run.module.transforms[modality](batch[modality]))
            return fusion.embed({modality: model.encoders[modality](x)})[modality]

        return one

    tables = pair_tables(path, run.config.data.root)
    vectors = {
        **_encode(run, tables.voices, ("audio",), embed("audio")),
        **_encode(run, tables.faces, ("visual",), embed("visual")),
    }
    trials, missing = tables.pairs.available(vectors)
    all_of_them = torch.stack([vectors[name] for name in trials.utterances])
    first, second = (all_of_them[torch.from_numpy(side)] for side in (trials.first, trials.second))
    return _judged(-(first - second).square().sum(1), trials, missing.note())


def _judged(scores: Tensor, trials: TrialList, missing: str) -> Verified:
    curve = error_curve(scores, torch.from_numpy(trials.target))
    return Verified(curve.eer().value, curve.roc_auc(), curve.min_dcf().value, len(trials), missing)


@torch.inference_mode()
def _encode(run: Run, table: ClipTable, modalities: tuple[str, ...], encode: Encode) -> dict[str, Tensor]:
    """Clip id -> vector, of all usable clips of a table, which are all for the test."""
    data, module = run.config.data, run.module
    clips = prepare_clips(table, data, run.spec, modalities)
    names = [clip.id for clip in clips.clips("test")]
    vectors: dict[str, Tensor] = {}
    dtype = DTYPES[module.precision]
    for batch in ClipData(clips, batch_size=data.batch_size, workers=data.workers).loader("test"):
        inputs = {modality: batch[modality].to(module.device) for modality in modalities}
        with torch.autocast(module.device.type, dtype, enabled=dtype is not None):
            found = encode(inputs).float().cpu()
        vectors.update({names[k]: vector for k, vector in zip(batch["index"].tolist(), found, strict=True)})
    return vectors


@contextlib.contextmanager
def _on_device(run: Run) -> Iterator[None]:
    run.module.to(pick_device(run.config.accelerator)).eval()
    try:
        yield
    finally:
        run.module.cpu()
