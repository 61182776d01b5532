"""How far an optimizer moves parameters: told of any optimizer, and held so that it can be changed.

An optimizer that divides the size of gradients out again (Adam, RMSprop, sign descent) steps as far on a tenth of the
gradient as on all of it. What is to slow an encoder under such a one changes the step that it has made.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def steps_with_gradients(optimizer: Optimizer) -> bool:
    """Whether a tenth of the gradient makes a tenth of the step, found by trying it on a parameter made for it.

    Returns:
        True for plain and momentum SGD; False for optimizers that normalise, and for those that cannot be tried so.
    """
    moved = []
    try:
        for scale in (1.0, 0.1):
            parameter = nn.Parameter(torch.ones(4, 4, device=optimizer.param_groups[0]["params"][0].device))
            parameter.grad = torch.linspace(-1, 2, 16, device=parameter.device).view(4, 4) * scale
            trial = copy.copy(optimizer)  # as pickle would: settings, without the hooks
            trial.state = defaultdict(dict)
            settings = {**optimizer.param_groups[0], "lr": 1e-3, "weight_decay": 0.0}
            trial.param_groups = [{**settings, "params": [parameter]}]
            trial.step()
            moved.append(float((parameter.detach() - 1).norm()))
    except Exception:  # one of its own making may need what a copy lacks, or a closure
        return False
    return moved[0] > 0 and abs(moved[1] / moved[0] - 0.1) < 0.01


class LastStep:
    """Each step of an optimizer, to be changed right after it was made.

    Args:
        optimizer: what steps.
        parameters: whose steps are held; those without a gradient are passed over.
        due: asked before each step whether it will be changed; nothing is copied otherwise.
        change: called after it with one tensor per parameter of `parameters` (None: passed over) that holds **minus**
            the step; what it leaves there is added to the parameter.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Sequence[nn.Parameter],
        due: Callable[[], bool],
        change: Callable[[list[Tensor | None]], None],
    ) -> None:
        self.parameters = parameters
        self.due = due
        self.change = change
        self._before: dict[int, Tensor] = {}  # position -> tensor, kept from step to step: fresh ones cost page faults
        self._held: list[int] = []
        self._hooks = (
            optimizer.register_step_pre_hook(lambda *_: self._hold()),
            optimizer.register_step_post_hook(lambda *_: self._alter()),
        )

    def remove(self) -> None:
        """Leave the optimizer as it was."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def _hold(self) -> None:
        self._held = [i for i, p in enumerate(self.parameters) if p.grad is not None] if self.due() else []
        for i in self._held:
            if i not in self._before:
                self._before[i] = torch.empty_like(self.parameters[i])
        if self._held:
            torch._foreach_copy_(*self._pair())

    @torch.no_grad()
    def _alter(self) -> None:
        if not self._held:
            return
        before, now = self._pair()
        torch._foreach_sub_(before, now)
        held: list[Tensor | None] = [None] * len(self.parameters)
        for i, tensor in zip(self._held, before, strict=True):
            held[i] = tensor
        self.change(held)
        torch._foreach_add_(now, before)

    def _pair(self) -> tuple[list[Tensor], list[Tensor]]:
        """What was held, and the parameters that it is of."""
        return [self._before[i] for i in self._held], [self.parameters[i].detach() for i in self._held]
