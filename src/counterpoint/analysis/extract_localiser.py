"""One pass of a trained localiser over a split."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from counterpoint.analysis.extract import encode
from counterpoint.analysis.traces import Trace
from counterpoint.models import LocalisationModel
from counterpoint.training.load import Run


@torch.inference_mode()
def trace_events(run: Run, split: str, device: torch.device | None = None) -> Trace:
    """What a localiser finds in the clips of a split, and what it finds with all but one modality ablated.

    Args:
        run: the trained run.
        split: ``"train"``, ``"val"`` or ``"test"``; clips come in table order, without augmentation.
        device: where to compute; None: where the module is.
    """
    model = run.module.model
    assert isinstance(model, LocalisationModel)
    parts: dict[str, list[Tensor]] = {}
    for batch, features, precision in encode(run, split, device):
        with precision:
            output = model.localiser(features)
            found = {f"ablated/{m}": model.localiser.ablated(features, m).segments() for m in model.modalities}
        if model.localiser.supervision == "fully":  # in weak supervision it is told of clips alone
            found |= {f"decoupled/{m}": logits.argmax(-1) for m, logits in output.unimodal_logits.items()}
        found |= {"logits": output.segments(), "video": output.video_logits.argmax(-1)}
        for name, values in (*found.items(), ("target", batch["target"]), ("index", batch["index"])):
            parts.setdefault(name, []).append(values.cpu())
    joined = {name: torch.cat(values) for name, values in parts.items()}
    clips, classes = run.data.clips.clips(split), len(run.classes) + 1
    arrays = {
        name: (values if name in ("target", "video", "index") else F.one_hot(values, classes).double()).numpy()
        for name, values in joined.items()
    }
    return Trace(
        ids=np.array([clips[i].id for i in arrays["index"]]),
        target=arrays["target"],
        logits=arrays["logits"],
        video=arrays["video"],
        decoupled={m: arrays[f"decoupled/{m}"] for m in model.modalities if f"decoupled/{m}" in arrays},
        ablated={m: arrays[f"ablated/{m}"] for m in model.modalities},
    )
