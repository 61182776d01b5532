"""After training: what a fusion fits to validation clips."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.fusion import Fusion
from counterpoint.training.datamodule import ClipData
from counterpoint.training.module import CounterpointModule
from counterpoint.wants import wants


@torch.inference_mode()
def calibrate(module: CounterpointModule, data: ClipData, device: torch.device) -> None:
    """Hand a fusion that wants ``"validation"`` what its modalities say of validation clips; others stay as they are.

    Args:
        module: trained; it is moved to `device`.
        data: the clips.
        device: where to compute.
    """
    fusion = getattr(module.model, "fusion", None)
    if not isinstance(fusion, Fusion) or "validation" not in wants(fusion):
        return
    module.to(device).eval()
    logits: dict[str, list[Tensor]] = {m: [] for m in fusion.modalities}
    targets = []
    for batch in data.loader("val"):
        output = module({name: batch[name].to(device, non_blocking=True) for name in module.transforms})
        for m, values in logits.items():
            values.append(output.unimodal_logits[m])
        targets.append(batch["target"].to(device))
    fusion.calibrate({m: torch.cat(values) for m, values in logits.items()}, torch.cat(targets))
