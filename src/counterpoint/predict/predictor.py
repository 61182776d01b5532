"""A run over a file: windows through the model in small batches, and what they say put together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from counterpoint.errors import MediaError, RunError
from counterpoint.localise import LocaliserOutput
from counterpoint.media.decode import probe
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms.features import Features
from counterpoint.media.windows import Window, Windows
from counterpoint.predict.grid import Grid, Mean
from counterpoint.predict.timeline import Timeline, Undecodable
from counterpoint.training.load import Run, load_run
from counterpoint.training.precision import pick_device

# A batch is that many windows, fewer if they are large.
_WINDOWS, _BYTES = 8, 2**26


@torch.inference_mode()
def predict(
    run: Run | str | Path,
    path: str | Path,
    *,
    hop: float | None = None,
    progress: Callable[[int, int], None] | None = None,
    trust_code: bool = False,
) -> Timeline:
    """What happens when in a file, by a trained localiser; or which class each segment of it has, by a classifier.

    The file is read once, and memory does not grow with its length but for the result, a few numbers per segment.

    Windows overlap. The probabilities of a segment are the mean over all windows that hold it; at the beginning and the
    end of the file that may be one alone. A last window that reaches beyond the end is filled up as clips were in
    training, and what it says of the time after the end is left out. A segment holds an event where the mean
    probability that it does is a half or more, and then the likeliest class; with one window that is
    `segments`. Windows that are mostly damaged count for nothing.

    Args:
        run: a run, its folder, or any with ``config.json`` and ``model.safetensors``.
        path: a media file with the modalities that the model takes.
        hop: from one window to the next, seconds. A localiser's must be a multiple of a segment, None: half a
            window; for a classifier a window must be a whole number of hops, None: a window.
        progress: called with the seconds done and to be done.
        trust_code: see `load_run`.

    Raises:
        RunError: no such run, or its model takes features that were made beforehand.
        ConfigError: a hop that does not fit.
        MediaError: the file cannot be read, or lacks a modality.
    """
    run = run if isinstance(run, Run) else load_run(run, trust_code=trust_code)
    path = Path(path)
    modalities = tuple(run.module.transforms)
    if any(isinstance(transform, Features) for transform in run.module.transforms.values()):
        raise RunError(
            f"{run.folder} takes features that were made beforehand, not media; train on clips to predict on clips"
        )
    device = pick_device(run.config.accelerator)
    module = run.module.to(device).eval()
    total = round(probe(path).seconds or 0)
    grid = _grid(module, run.spec, modalities, device, hop)
    mean, damaged = Mean(grid), dict[int, str]()
    reader = Windows(path, run.spec, hop=grid.hop, modalities=modalities)
    for batch in _batches(enumerate(reader), run.spec):
        whole = {number: window for number, window in batch if window.undecodable is None}
        damaged.update((number, window.undecodable) for number, window in batch if window.undecodable is not None)
        if whole:
            media = {
                name: torch.from_numpy(np.stack([getattr(window.clip, name) for window in whole.values()])).to(device)
                for name in modalities
            }
            for number, values in zip(whole, _values(module(media), grid.parts), strict=True):
                mean.add(number, values)
        if progress is not None:
            done = round(batch[-1][1].start + batch[-1][1].seconds)
            progress(min(done, total), total)
    if mean.empty:
        raise MediaError(path, next(iter(damaged.values())))
    return _timeline(run, path, grid, mean.result(reader.seconds), damaged, reader)


def _grid(
    module: nn.Module, spec: MediaSpec, modalities: tuple[str, ...], device: torch.device, hop: float | None
) -> Grid:
    """How windows are to lie, for which the model is asked into how many segments it cuts one."""
    shapes = {
        "audio": ((1, spec.num_samples), torch.int16),
        "visual": ((1, spec.num_frames, spec.size, spec.size, spec.channels), torch.uint8),
    }
    zeros = {name: torch.zeros(shapes[name][0], dtype=shapes[name][1], device=device) for name in modalities}
    output = module(zeros)
    if isinstance(output, LocaliserOutput):
        return Grid.of_localiser(spec.seconds, output.segment_logits.shape[1], hop)
    return Grid.of_classifier(spec.seconds, hop)


def _values(output: object, parts: int) -> NDArray[np.float64]:
    """Per window and segment the classes' probabilities and that of an event, ``(B, parts, K + 1)``; classifier: 1.

    Raises:
        RunError: they are not finite.
    """
    if isinstance(output, LocaliserOutput):
        classes, event = output.segment_logits.softmax(-1), output.event.sigmoid()
    else:
        logits: Tensor = output.logits  # type: ignore[attr-defined]
        classes = logits.softmax(-1).unsqueeze(1).expand(-1, parts, -1)
        event = torch.ones_like(classes[..., 0])
    values: NDArray[np.float64] = torch.cat([classes, event.unsqueeze(-1)], -1).cpu().double().numpy()
    if not np.isfinite(values).all():
        raise RunError("the model's logits are not finite here; its training may have diverged")
    return values


def _batches(windows: Iterator[tuple[int, Window]], spec: MediaSpec) -> Iterator[list[tuple[int, Window]]]:
    at_once = max(1, min(_WINDOWS, _BYTES // spec.num_bytes))
    while batch := list(itertools.islice(windows, at_once)):
        yield batch


def _timeline(
    run: Run, path: Path, grid: Grid, values: NDArray[np.float64], damaged: dict[int, str], reader: Windows
) -> Timeline:
    classes, background = run.classes, len(run.classes)
    probabilities, event = values[:, :-1].astype(np.float32), values[:, -1]
    best = np.nan_to_num(probabilities[:, :background], nan=-1).argmax(1)
    labels = np.where(event >= 0.5, best, background)  # a NaN is no event either
    config = getattr(run.module.model, "config", {})
    name = config.get("options", {}).get("localiser") or config.get("name") or type(run.module.model).__name__
    return Timeline(
        path=path,
        seconds=reader.seconds,
        run=run.folder,
        model=name,
        task="localise" if probabilities.shape[1] > background else "classify",
        classes=classes,
        segment=grid.segment,
        window=grid.window,
        hop=grid.hop,
        probabilities=probabilities,
        labels=labels,
        undecodable=_undecodable(np.isnan(event), grid, damaged, reader.seconds),
        notes=reader.notes,
    )


def _undecodable(
    missing: NDArray[np.bool_], grid: Grid, damaged: dict[int, str], seconds: float
) -> tuple[Undecodable, ...]:
    """Parts that no window tells anything of, with the reason of the first of those that hold their beginning."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
    found = []
    for first, stop in edges.reshape(-1, 2).tolist():
        reason = next(why for number, why in damaged.items() if first < number * grid.step + grid.parts)
        found.append(Undecodable(first * grid.segment, min(stop * grid.segment, seconds), reason))
    return tuple(found)
