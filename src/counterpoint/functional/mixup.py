"""Mixup: pairs of clips, all of their modalities together, and the loss of both classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class Mix(NamedTuple):
    """Who is mixed with whom, and how much of whom is left.

    Attributes:
        weight: of the clips themselves, lambda: a scalar between 0.5 and 1.
        partner: for each clip the position of the other in the batch, ``(B,)``.

    Example:
        >>> mix = Mix(torch.tensor(0.75), torch.tensor([1, 0]))
        >>> mix.inputs({"audio": torch.tensor([[0.0], [4.0]])})["audio"].tolist()
        [[1.0], [3.0]]
        >>> loss = mix.loss(lambda target: (target == 2).double().mean(), torch.tensor([2, 0]))
        >>> loss.item()
        0.5
    """

    weight: Tensor
    partner: Tensor

    def inputs(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``lambda x + (1 - lambda) x[partner]`` of every modality, ``(B, ...)`` each.

        Args:
            inputs: per modality what its encoder takes, of floating point numbers.
        """
        return {m: x.lerp(x[self.partner], (1 - self.weight).to(x.dtype)) for m, x in inputs.items()}

    def loss(self, loss: Callable[[Tensor], Tensor], target: Tensor) -> Tensor:
        """``lambda L(target) + (1 - lambda) L(target[partner])``, whatever the loss is made of.

        Args:
            loss: of classes ``(B,)``, on what the model made of `inputs`.
            target: classes, ``(B,)``.
        """
        own, other = loss(target), loss(target[self.partner])
        return own.lerp(other, (1 - self.weight).to(own.dtype))


def draw_mix(clips: int, alpha: float, device: torch.device | str | None = None) -> Mix:
    """Draw partners and lambda of a batch as mixup has it (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018).

    ``lambda ~ Beta(alpha, alpha)``, one for the batch, and a random permutation, as the authors' code does. As the
    distribution is symmetric and a permutation's inverse as probable as itself, a lambda below a half makes the same
    batch as one minus it, in another order: taking the larger changes nothing of what is trained on, and leaves each
    clip's own class the one of which there is more. Draws come from torch's generator of the device, and nothing waits
    for it.

    Args:
        clips: B.
        alpha: above 0; the smaller, the less is mixed. The paper has 0.1 to 0.4 on ImageNet and 1 on CIFAR.
        device: of the clips.

    Example:
        >>> mix = draw_mix(8, 0.2)
        >>> sorted(mix.partner.tolist())
        [0, 1, 2, 3, 4, 5, 6, 7]
    """
    concentration = torch.full((), alpha, device=device)
    drawn = torch.distributions.Beta(concentration, concentration, validate_args=False).sample()
    return Mix(torch.maximum(drawn, 1 - drawn), torch.randperm(clips, device=device))
