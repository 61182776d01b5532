"""What is kept of a trained model's pass over the test split, for figures and for paired tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint._atomic import writing
from counterpoint._checksums import require_whole

Array = NDArray[np.float64]

ZETA_BINS = 50
ZETA_EDGES = np.linspace(0, 1, ZETA_BINS + 1)


@dataclass(frozen=True)
class Trace:
    """One model on one split of N clips and C classes.

    Of a localiser, target and logits are of T segments with background as a class behind the others, ``(N, T)`` and
    ``(N, T, C + 1)``, and logits are 1 for the class that the network's own inference gives, else 0.

    Attributes:
        ids: clip ids.
        target: ``(N,)`` class indices.
        logits: ``(N, C)`` joint logits.
        decoupled: modality -> ``(N, C)``, its share of the joint logits; empty where the model does not tell it.
        ablated: modality -> ``(N, C)``, joint logits with the others ablated.
        video: ``(N,)`` classes that a localiser finds in whole clips; None of a classifier.
        norms: modality -> ``(C,)`` lengths of class weights; empty where the head has no weights per modality.
        angles: modality -> ``(N,)`` degrees to the true class's weights; empty where the fusion hands the head no
            features of the modality.
        probe: modality -> ``(N, C)`` log-probabilities of the linear probe; empty where none was fitted.
        zeta: modality -> ``(50,)`` counts over clips and channels of zeta in equal bins of 0 to 1; empty where the
            fusion has none or zeta is the same for all clips.
    """

    ids: NDArray[np.str_]
    target: NDArray[np.int64]
    logits: Array
    decoupled: Mapping[str, Array] = field(default_factory=dict)
    ablated: Mapping[str, Array] = field(default_factory=dict)
    norms: Mapping[str, Array] = field(default_factory=dict)
    angles: Mapping[str, Array] = field(default_factory=dict)
    probe: Mapping[str, Array] = field(default_factory=dict)
    zeta: Mapping[str, Array] = field(default_factory=dict)
    video: NDArray[np.int64] | None = None

    @property
    def found(self) -> NDArray[np.int64]:
        """The class of highest logit, shaped like `target`."""
        classes: NDArray[np.int64] = self.logits.argmax(axis=-1)
        return classes

    @property
    def correct(self) -> Array:
        """1 where it is the true class, else 0, ``(N,)``; of a localiser the share of a clip's segments."""
        hits = (self.found == self.target).astype(np.float64)
        shares: Array = hits.reshape(len(hits), -1).mean(axis=1)
        return shares


_PER_CLIP = ("decoupled", "ablated", "angles", "probe")
_PER_MODALITY = (*_PER_CLIP, "norms", "zeta")
_FORMER = {"silenced": "ablated"}  # as files from before 0.2 have it


def pool_traces(traces: Sequence[Trace]) -> Trace:
    """Several models, each on clips of its own, as one; what is a model's and not a clip's is left out.

    A modality's figures are kept where every model has them.

    Args:
        traces: at least one; a single one is given back as it is.
    """
    first = traces[0]
    if len(traces) == 1:
        return first
    pooled = {
        kind: {
            name: np.concatenate([getattr(trace, kind)[name] for trace in traces])
            for name in getattr(first, kind)
            if all(name in getattr(trace, kind) for trace in traces)
        }
        for kind in _PER_CLIP
    }
    return Trace(
        np.concatenate([trace.ids for trace in traces]),
        np.concatenate([trace.target for trace in traces]),
        np.concatenate([trace.logits for trace in traces]),
        **pooled,
        video=None if first.video is None else np.concatenate([t.video for t in traces if t.video is not None]),
    )


def save_trace(trace: Trace, path: Path) -> None:
    """Write a trace as ``.npz``, whole or not at all."""
    arrays: dict[str, NDArray[np.generic]] = {"ids": trace.ids, "target": trace.target}
    arrays["logits"] = trace.logits.astype(np.float32)
    if trace.video is not None:
        arrays["video"] = trace.video
    for kind in _PER_MODALITY:
        for modality, values in getattr(trace, kind).items():
            arrays[f"{kind}/{modality}"] = values.astype(np.float32)
    with writing(path, checked=True) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load_trace(path: Path) -> Trace:
    """Read what `save_trace` wrote."""
    require_whole(path)
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    groups: dict[str, dict[str, Array]] = {kind: {} for kind in _PER_MODALITY}
    for name, values in arrays.items():
        kind, _, modality = name.partition("/")
        if modality:
            groups[_FORMER.get(kind, kind)][modality] = values.astype(np.float64)
    logits = arrays["logits"].astype(np.float64)
    return Trace(arrays["ids"], arrays["target"], logits, **groups, video=arrays.get("video"))
