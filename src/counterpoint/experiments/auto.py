"""A user's clips in, a better model out: look at the data, measure the machine, compare what fits the time, advise."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint._cpu import cores
from counterpoint.analysis.results import Comparison
from counterpoint.data import DATASETS, ClipTable
from counterpoint.data.datasets.feature_folder import FEATURES
from counterpoint.errors import ConfigError, CounterpointError, DataError, DatasetNotFoundError, did_you_mean, quoted
from counterpoint.experiments.advice import advise
from counterpoint.experiments.compare import CONFIG, read_compare_config, run_plan
from counterpoint.experiments.config import RECOMMENDED, CompareConfig
from counterpoint.experiments.folds import OPTION
from counterpoint.experiments.plan import resolve_plan
from counterpoint.recipes import load_recipe
from counterpoint.report.history import read_epochs
from counterpoint.report.table import counted
from counterpoint.training.budget import planned, steps_per_epoch, with_budget
from counterpoint.training.config import DataConfig, TrainConfig
from counterpoint.training.datamodule import list_run_clips
from counterpoint.training.fit import fit
from counterpoint.training.resolve import modalities_of

PLAIN, OTHER = "concat", "concat-staged"
"""What everybody knows; and what was best on a set where the recommended recipe was not, see docs/results.md."""
LEAST_EPOCHS = 5
MOST_SEEDS = 3
FOLDS, FEW_CLIPS = 5, 500
"""Below so many clips a split of their own tests too few of them; cross-validation tests each once."""
_SPARE = 0.85  # of the time: what is planned; the rest is for probes, reports and runs that take longer than measured


@dataclass(frozen=True)
class Auto:
    """What `auto` came to.

    Attributes:
        comparison: all that was run; its folder is one that `predict`, `evaluate` and `verify` take for a run.
        said: what it saw and planned, sentence by sentence.
        advice: what to take, how good it is, and what would help next.
    """

    comparison: Comparison
    said: tuple[str, ...]
    advice: tuple[str, ...]


def auto(
    clips: str | Path,
    *,
    minutes: float = 15.0,
    folder: str | Path = "runs/auto",
    base: TrainConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
) -> Auto:
    """Find out what to take for some clips, within a given time.

    It lists the clips, trains the recommended recipe for two epochs to see how long one takes here, and plans a
    comparison that fits: the recommended recipe, staged and plain concatenation, each modality alone, their ensemble,
    and classical classifiers. No run is begun that would not end in time; what is left out for that is said.

    Args:
        clips: a folder with a subfolder for each class; a folder of features (``features.h5``, ``clips.csv``); or the
            name of a dataset.
        minutes: that it may take, above 0; decoding, which is done once and kept, included.
        folder: of the comparison.
        base: what all runs share; its data are those of `clips`, but for their options. None: the defaults.
        resume: go on with what is in `folder`, for another so many minutes.
        overwrite: remove the comparison that is there.
        progress: show bars on standard error.
        say: is told what was seen and planned as soon as it is known.

    Returns:
        The comparison, and the advice.

    Raises:
        ConfigError: minutes is not above 0, there is one class alone, or localisation is asked for.
        DatasetNotFoundError: `clips` is neither a folder nor a dataset.
        CounterpointError: whatever is wrong with the data.
    """
    began, folder = time.monotonic(), Path(folder)
    if not minutes > 0:
        raise ConfigError(f"minutes is {minutes}; it must be above 0")
    base = replace(base or TrainConfig(), data=data_of(clips, (base or TrainConfig()).data))
    if base.task != "classify":
        raise ConfigError(f"task is {base.task!r}, but auto classifies clips; use compare task=localise")
    said: list[str] = []

    def tell(*sentences: str) -> None:
        for sentence in sentences:
            said.append(sentence)
            say(sentence)

    if resume and (folder / CONFIG).is_file():
        config = read_compare_config(folder)
        tell(f"Goes on with {folder} for {minutes:g} minutes.")
    else:
        table = list_run_clips(base)
        tell(*_looks(table))
        config = _plan(base, table, 60 * minutes, began, progress, tell)
    plan = resolve_plan(config, folder)
    comparison = run_plan(plan, resume=resume, overwrite=overwrite, progress=progress, until=began + 60 * minutes)
    return Auto(comparison, tuple(said), tuple(advise(comparison)))


def data_of(clips: str | Path, data: DataConfig) -> DataConfig:
    """The data that are meant by a folder, or by the name of a dataset.

    Args:
        clips: the folder, or the name.
        data: whose other options stay.

    Raises:
        DatasetNotFoundError: it is neither.

    Example:
        >>> found = data_of("talkers", DataConfig(seed=3))
        >>> found.name, found.seed
        ('talkers', 3)
    """
    path = Path(clips)
    if path.is_dir():
        return replace(data, name="features" if (path / FEATURES).is_file() else "folder", root=str(path))
    if str(clips) in DATASETS:
        return replace(data, name=str(clips))
    if path.exists():
        raise DatasetNotFoundError(f"{quoted(clips)} is a file; name the folder of the clips")
    raise DatasetNotFoundError(f"{quoted(clips)} is neither a folder nor a dataset{did_you_mean(str(clips), DATASETS)}")


def _looks(table: ClipTable) -> list[str]:
    """What there is, in sentences; refuses what cannot be told apart."""
    counts = Counter(clip.label for clip in table.clips)
    if len(counts) < 2:
        raise DataError(f"{table.name} has one class alone, {table.classes[0]!r}; there is nothing to tell apart")
    few, many = min(counts.values()), max(counts.values())
    each = f"{few} each" if few == many else f"{few} to {many} of each"
    groups = {clip.group for clip in table.clips if clip.group is not None}
    speakers = f"{counted(len(groups), table.group_word)}" if groups else f"no {table.group_word} named"
    split = ", ".join(f"{len(table.split(name))} {name}" for name in ("train", "val", "test"))
    return [f"{counted(len(table.clips), 'clip')} of {len(counts)} classes ({each}), {speakers}; {split}."]


def _plan(
    base: TrainConfig,
    table: ClipTable,
    seconds: float,
    began: float,
    progress: bool,
    tell: Callable[[str], None],
) -> CompareConfig:
    """A comparison of as many seeds and epochs as fit into the time."""
    base = with_budget(base, table)
    wanted, size = planned(base)
    steps = steps_per_epoch(len(table.split("train")), size, base.devices)
    modalities = modalities_of(base)
    methods = [RECOMMENDED, *([OTHER] if table.features is None else []), PLAIN]  # features have no encoders to train
    entries = len(methods) + (len(modalities) if len(modalities) > 1 else 0)
    jobs = min(cores(), entries)
    pilot, decoding = _pilot(base, max(1, cores() // jobs), progress)
    left = _SPARE * seconds - (time.monotonic() - began)
    choices = [*([(FOLDS, 1)] if _folds_help(base, table) else []), *((0, n) for n in range(MOST_SEEDS, 0, -1))]
    rounds = {(folds, seeds): -(-entries * seeds * max(1, folds) // jobs) for folds, seeds in choices}
    # A seed without all its folds counts for nothing, so that there must be time to spare for them.
    fitting = [choice for choice in choices if rounds[choice] * wanted * pilot * (2 if choice[0] else 1) <= left]
    folds, seeds = (*fitting, choices[-1])[0]
    epochs = min(wanted, max(LEAST_EPOCHS, int(left / (rounds[folds, seeds] * pilot))))
    epoch = f"an epoch of {counted(steps, 'step')}, batch {size},"
    tell(f"Reading the clips took {decoding:.0f} s; {epoch} takes {pilot:.1f} s here.")
    short = f" ({wanted} would be better: more minutes allow them)" if epochs < wanted else ""
    what = ", ".join(methods) + (" and each modality alone" if entries > len(methods) else "")
    about = rounds[folds, seeds] * epochs * pilot / 60
    often = (f"{folds} folds, " if folds else "") + counted(seeds, "seed")
    tell(
        f"Plan: {what}, {epochs} epochs{short}, {often}, {jobs} at a time: about {about:.0f} of "
        f"{seconds / 60:g} minutes."
    )
    return CompareConfig(
        methods=methods,
        baseline=PLAIN,
        seeds=list(range(seeds)),
        folds=folds or [],
        base=replace(base, epochs=epochs),
        jobs=jobs,
    )


def _folds_help(base: TrainConfig, table: ClipTable) -> bool:
    """Whether clips are so few that each should be tested once, their split is nobody's own, and it can be drawn so."""
    drawn = any(note.startswith("Split:") and "drawn with seed" in note for note in table.notes)
    if len(table.clips) >= FEW_CLIPS or not drawn or OPTION in DATASETS.get(base.data.name).wants:
        return False
    try:
        list_run_clips(replace(base, data=replace(base.data, folds=FOLDS, fold=0)))
    except CounterpointError:  # of some class or group there are too few
        return False
    return True


def _pilot(base: TrainConfig, share: int, progress: bool) -> tuple[float, float]:
    """Seconds of an epoch of the recommended recipe, on a `share` of the cores; and of what comes before."""
    import torch

    config = replace(load_recipe(RECOMMENDED).apply(base), epochs=2)
    threads = torch.get_num_threads()
    began = time.monotonic()
    try:
        torch.set_num_threads(share)
        with tempfile.TemporaryDirectory() as folder:
            fit(config, Path(folder) / "pilot", test=False, progress=progress)
            epochs = read_epochs(Path(folder) / "pilot").epochs["seconds"]
    finally:
        torch.set_num_threads(threads)
    return float(epochs[-1]), time.monotonic() - began - float(epochs.sum())
