"""One pass of a trained model over a split: all that probes, figures and paired tests are made of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from counterpoint.analysis.geometry import angles, weight_norms
from counterpoint.analysis.traces import ZETA_BINS, Array, Trace
from counterpoint.models import MultimodalModel
from counterpoint.training.datamodule import Batch
from counterpoint.training.load import Run
from counterpoint.training.precision import DTYPES


@dataclass(frozen=True)
class Extraction:
    """What a model makes of the N clips of a split; everything on the CPU, in float32.

    Attributes:
        ids: clip ids, in the order of the rows.
        target: class indices, ``(N,)``.
        features: modality -> ``(N, D_m)``, out of its encoder.
        logits: joint, ``(N, C)``.
        unimodal_logits: modality -> ``(N, C)``, its share of the joint logits.
        ablated: modality -> ``(N, C)``, joint logits with the features of all others set to zero.
        head_inputs: name -> ``(N, D)``, what the fusion hands to the head under each name of the head's weights: the
            modality's features as the fusion has changed them.
        zeta: modality -> superposition weights, ``(N, ...)``; None where the fusion has none or has the same for all.
    """

    ids: tuple[str, ...]
    target: Tensor
    features: Mapping[str, Tensor]
    logits: Tensor
    unimodal_logits: Mapping[str, Tensor]
    ablated: Mapping[str, Tensor]
    head_inputs: Mapping[str, Tensor]
    zeta: Mapping[str, Tensor] | None


def encode(
    run: Run, split: str, device: torch.device | None
) -> Iterator[tuple[Batch, dict[str, Tensor], torch.autocast]]:
    """The batches of a split, in ``eval()``, with their features, and the context of the precision of training.

    Args:
        run: the trained run.
        split: ``"train"``, ``"val"`` or ``"test"``; clips come in table order, without augmentation.
        device: where to compute; None: where the module is.
    """
    module = run.module.eval()
    device = module.device if device is None else device
    module.to(device)
    dtype = DTYPES[module.precision]
    precision = torch.autocast(device.type, dtype, enabled=dtype is not None)
    for batch in run.data.loader(split):
        with precision:
            features = module.model.encode(module.inputs({m: batch[m].to(device) for m in module.transforms}))
        yield batch, features, precision


@torch.inference_mode()
def extract(run: Run, split: str, device: torch.device | None = None) -> Extraction:
    """Run a trained model over a split, in ``eval()``, in the precision that it was trained in.

    Args:
        run: the trained run.
        split: ``"train"``, ``"val"`` or ``"test"``; clips come in table order, without augmentation.
        device: where to compute; None: where the module is.
    """
    model = run.module.model
    assert isinstance(model, MultimodalModel)
    fusion = model.fusion
    kinds = ("features", "unimodal", "ablated", "head", "zeta")
    parts: dict[str, dict[str, list[Tensor]]] = {kind: {} for kind in kinds}
    logits, targets, index = [], [], []

    def keep(kind: str, modality: str, values: Tensor) -> None:
        parts[kind].setdefault(modality, []).append(values.float().cpu())

    for batch, features, precision in encode(run, split, device):
        with precision:
            with _inputs_of(fusion.head) as seen:
                output = fusion(features)
            for modality, values in features.items():
                keep("features", modality, values)
                keep("unimodal", modality, output.unimodal_logits[modality])
                keep("ablated", modality, fusion.ablated(features, modality))
        size = len(batch["target"])
        for name, values in seen.items():
            keep("head", name, values)
        for modality, values in (output.weights or {}).items():
            if values.ndim > 1 and values.shape[0] == size and values.stride(0) != 0:  # one weight for each clip
                keep("zeta", modality, values)
        logits.append(output.logits.float().cpu())
        targets.append(batch["target"])
        index.append(batch["index"])
    joined = {kind: {m: torch.cat(values) for m, values in by.items()} for kind, by in parts.items()}
    clips = run.data.clips.clips(split)
    return Extraction(
        ids=tuple(clips[i].id for i in torch.cat(index).tolist()),
        target=torch.cat(targets),
        features=joined["features"],
        logits=torch.cat(logits),
        unimodal_logits=joined["unimodal"],
        ablated=joined["ablated"],
        head_inputs=joined["head"],
        zeta=joined["zeta"] or None,
    )


@contextlib.contextmanager
def _inputs_of(head: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Gather the ``(B, D)`` tensors of the mapping that the head is called with; the first call is the joint one."""
    seen: dict[str, Tensor] = {}

    def look(_: nn.Module, args: tuple[Any, ...]) -> None:
        if args and isinstance(args[0], Mapping):
            for name, values in args[0].items():
                if values.ndim == 2:
                    seen.setdefault(name, values)

    handle = head.register_forward_pre_hook(look)
    try:
        yield seen
    finally:
        handle.remove()


def trace(run: Run, extraction: Extraction, probe: Mapping[str, Array] | None = None) -> Trace:
    """What is kept of an extraction, with the lengths of class weights and the angles to them.

    Args:
        run: whose model it was.
        extraction: of its test split.
        probe: modality -> log-probabilities of a linear probe, ``(N, C)``; None: none was fitted.
    """
    model = run.module.model
    assert isinstance(model, MultimodalModel)
    weights = {m: w.detach().float().cpu() for m, w in model.fusion.head.weights().items()}
    return Trace(
        ids=np.array(extraction.ids),
        target=extraction.target.numpy(),
        logits=_array(extraction.logits),
        decoupled={m: _array(v) for m, v in extraction.unimodal_logits.items()},
        ablated={m: _array(v) for m, v in extraction.ablated.items()},
        norms={m: _array(weight_norms(w)) for m, w in weights.items()},
        angles={
            m: _array(angles(extraction.head_inputs[m], w, extraction.target))
            for m, w in weights.items()
            if m in extraction.head_inputs and w.shape[1] == extraction.head_inputs[m].shape[1]
        },
        probe=probe or {},
        zeta={
            m: np.histogram(v.numpy(), ZETA_BINS, (0, 1))[0].astype(np.float64)
            for m, v in (extraction.zeta or {}).items()
        },
    )


def _array(values: Tensor) -> Array:
    array: Array = values.double().numpy()
    return array
