"""A balancer of your own: now and then, one modality rests.

counterpoint train --import examples/own_balancer.py --balance.name own_balancer:Rest --balance.options.share 0.3
"""

import random
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from counterpoint.balance import Balancer
from counterpoint.distributed import all_reduce_sum
from counterpoint.fusion import FusionOutput


class Rest(Balancer):
    """In a share of the steps the encoder that is surest of the true class gets no gradient, so that others catch up.

    `wants` names what the run hands in: here its seed. What is drawn depends on the seed and the number of steps alone,
    and `state_dict` keeps both, so that a run that is resumed goes on exactly as one that was never interrupted.

    Args:
        encoders: per modality the module whose gradients are changed.
        share: of the steps, 0 to 1.
        seed: of the draw.
    """

    wants: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(self, encoders: Mapping[str, nn.Module], *, share: float = 0.5, seed: int = 0) -> None:
        super().__init__(encoders)
        self.share, self.seed, self.steps = share, seed, 0

    def observe(self, output: FusionOutput, target: Tensor) -> None:
        """Called for parts of a batch whose gradients are accumulated; nothing is to be remembered of them."""

    def step(self, output: FusionOutput, target: Tensor) -> dict[str, Tensor]:
        """Change gradients in place, between ``backward()`` and the optimizer's step; give back what is recorded."""
        logits = torch.stack([output.unimodal_logits[name] for name in self.modalities])
        sure = logits.detach().softmax(-1)[:, torch.arange(len(target)), target].sum(1)  # per modality, (M,)
        sure = all_reduce_sum(sure)  # over processes, which must all do the same
        draw = random.Random(f"{self.seed} {self.steps}").random()
        self.steps += 1
        rests = (sure == sure.max()) & (draw < self.share)
        for keep, encoder in zip((~rests).to(sure.dtype), self.encoders.values(), strict=True):
            torch._foreach_mul_([p.grad for p in encoder.parameters() if p.grad is not None], keep)
        return {"ratio": sure / sure.mean(), "coefficient": (~rests).to(sure.dtype)}

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from."""
        return {**super().state_dict(), "seed": self.seed, "steps": self.steps}
