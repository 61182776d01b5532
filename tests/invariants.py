"""What holds for every registered part (see the list of invariants in the docs); one tester for all of them.

A part is a module, and `make(batch)` gives its positional arguments: tensors, or mappings of tensors, whose
first axis is the batch. Outputs may be tensors, mappings, sequences or dataclasses of tensors.
"""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Make = Callable[..., tuple[Any, ...]]


def tensors(tree: Any) -> list[Tensor]:
    """All tensors of a nested structure, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if dataclasses.is_dataclass(tree):
        return tensors([getattr(tree, f.name) for f in dataclasses.fields(tree)])
    if isinstance(tree, Mapping):
        return tensors(list(tree.values()))
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return [t for part in tree for t in tensors(part)]
    return []


def map_tensors(function: Callable[[Tensor], Tensor], tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {k: map_tensors(function, v) for k, v in tree.items()}
    if isinstance(tree, Sequence) and not isinstance(tree, str):
        return type(tree)(map_tensors(function, v) for v in tree)
    return tree


def assert_trees_close(a: Any, b: Any, **tolerance: float) -> None:
    left, right = tensors(a), tensors(b)
    assert len(left) == len(right)
    for x, y in zip(left, right, strict=True):
        torch.testing.assert_close(x, y, check_dtype=False, **tolerance)


def check_independent_of_batch(module: nn.Module, make: Make, pick: Callable[[Any], Any] = lambda out: out) -> None:
    """In eval(), a sample's output is the same alone, in a batch, and in the batch turned round."""
    module.eval()
    args = make(4)
    with torch.no_grad():
        whole = tensors(pick(module(*args)))
        turned = tensors(pick(module(*map_tensors(lambda t: t.flip(0), args))))
        alone = [tensors(pick(module(*map_tensors(lambda t, i=i: t[i : i + 1], args)))) for i in range(4)]
    per_sample = [k for k, t in enumerate(whole) if t.ndim and t.shape[0] == 4]
    assert per_sample
    for k in per_sample:
        torch.testing.assert_close(turned[k].flip(0), whole[k], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(torch.cat([a[k] for a in alone]), whole[k], rtol=1e-4, atol=1e-5)


def check_finite(module: nn.Module, make: Make) -> None:
    """No NaN or Inf in outputs or gradients for zero, constant and very large finite inputs."""
    module.train()
    for change in (torch.zeros_like, torch.ones_like, lambda t: t * 1e4, lambda t: torch.full_like(t, -1e4)):
        module.zero_grad()
        args = map_tensors(lambda t, change=change: change(t).requires_grad_(), make(4))
        out = [t for t in tensors(module(*args)) if t.is_floating_point()]
        assert all(torch.isfinite(t).all() for t in out)
        sum(t.sum() for t in out if t.requires_grad).backward()
        grads = [t.grad for t in (*tensors(args), *module.parameters()) if t.grad is not None]
        assert grads
        assert all(torch.isfinite(g).all() for g in grads)


def check_small_batches(module: nn.Module, make: Make, pick: Callable[[Any], Any] = lambda out: out) -> None:
    """A batch of one sample, and one of none, come out as they went in, and leave no NaN behind in the state."""
    for training in (True, False):
        module.train(training)
        for batch in (1, 0):
            for tensor in tensors(pick(module(*make(batch)))):
                assert tensor.shape[0] == batch and tensor.isfinite().all()
            assert all(tensor.isfinite().all() for tensor in module.state_dict().values())


def check_gradients_reach(module: nn.Module, make: Make, loss: Callable[[Any], Tensor]) -> None:
    """Every floating input and every parameter receives a gradient that is not zero throughout."""
    module.train()
    module.zero_grad()
    args = map_tensors(lambda t: t.requires_grad_(), make(8))
    loss(module(*args)).backward()
    for tensor in tensors(args):
        assert tensor.grad is not None and tensor.grad.abs().sum() > 0
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name


def check_state_dict(module: nn.Module, build: Callable[[], nn.Module], make: Make) -> None:
    """`state_dict` goes out and comes back: a fresh module that loads it answers alike."""
    module.train()
    module(*make(8))  # moves running statistics off their initial values
    fresh = build()
    fresh.load_state_dict(copy.deepcopy(module.state_dict()))
    args = make(4)
    with torch.no_grad():
        assert_trees_close(module.eval()(*args), fresh.eval()(*args))


def check_dtypes(module: nn.Module, make: Make, pick: Callable[[Any], Any] = lambda out: out) -> None:
    """float32 and bfloat16 agree with float64 within their precision."""
    module.eval()
    args = make(4)
    with torch.no_grad():
        exact = pick(copy.deepcopy(module).double()(*map_tensors(lambda t: t.double(), args)))
        single = pick(module(*args))
        half = pick(copy.deepcopy(module).bfloat16()(*map_tensors(lambda t: t.bfloat16(), args)))
    for reference, a, b in zip(tensors(exact), tensors(single), tensors(half), strict=True):
        scale = reference.abs().max().clamp_min(1.0)
        assert (a.double() - reference).abs().max() <= 1e-4 * scale
        assert (b.double() - reference).abs().max() <= 8e-2 * scale


def check_compiles(module: nn.Module, make: Make) -> None:
    """`torch.compile` gives the same result (traced by dynamo, run eagerly: no compiler is needed)."""
    module.eval()
    args = make(4)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert_trees_close(compiled(*args), module(*args), rtol=1e-4, atol=1e-5)


def check_exports(module: nn.Module, make: Make, pick: Callable[[Any], Any] = lambda out: out) -> None:
    """`torch.export` gives the same result."""

    class Picked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, *args: Any) -> Any:
            return pick(self.module(*args))

    picked = Picked().eval()
    args = make(4)
    with torch.no_grad():
        exported = torch.export.export(picked, args).module()
        assert_trees_close(exported(*args), picked(*args), rtol=1e-4, atol=1e-5)
