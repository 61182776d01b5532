import torch

from counterpoint.distributed import all_gather, all_gather_ragged, all_reduce_sum
from processes import in_processes


def test_identity_without_processes():
    x = torch.randn(3, 4, requires_grad=True)
    assert all_gather(x) is x
    assert all_gather_ragged(x) is x
    assert all_reduce_sum(x) is x


def test_identity_is_compiled_and_exported():
    class Both(torch.nn.Module):
        def forward(self, x):
            return all_gather(x).var(0) + all_reduce_sum(x.sum(0))

    x = torch.randn(3, 4)
    expected = x.var(0) + x.sum(0)
    torch._dynamo.reset()
    compiled = torch.compile(Both(), backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(torch.export.export(Both(), (x,)).module()(x), expected)


def _joined(rank, world):
    torch.manual_seed(0)
    whole = torch.randn(2 * world, 3, dtype=torch.float64)
    part = whole.reshape(world, 2, 3)[rank].clone().requires_grad_()
    untouched = part.detach().clone()
    gathered, total = all_gather(part), all_reduce_sum(part.sum(0))
    # Each process's loss is another; the data-parallel wrapper would average them, hence the division.
    loss = (gathered.var(0) * total).sum() * (rank + 1) / world
    loss.backward()
    assert torch.equal(part.detach(), untouched)

    joined = whole.clone().requires_grad_()
    (sum(r + 1 for r in range(world)) / world * (joined.var(0) * joined.sum(0)).sum()).backward()
    torch.testing.assert_close(gathered.detach(), whole)
    torch.testing.assert_close(total.detach(), whole.sum(0))
    torch.testing.assert_close(part.grad, joined.grad.reshape(world, 2, 3)[rank])
    strided = whole.t()  # not contiguous
    torch.testing.assert_close(all_gather(strided), strided.repeat(world, 1))
    torch.testing.assert_close(all_reduce_sum(strided), strided * world)
    return gathered.detach()


def test_value_and_gradient_are_those_of_the_joined_batch():
    first, second = in_processes(2, _joined)
    assert torch.equal(first, second)


def _ragged(rank, world):
    part = torch.full((2 * rank, 3), float(rank))
    nothing = all_gather_ragged(torch.empty(0, 2))
    assert nothing.shape == (0, 2)
    return all_gather_ragged(part)


def test_parts_of_different_lengths_are_joined_in_order_of_rank():
    for joined in in_processes(3, _ragged):
        assert joined.shape == (6, 3) and joined[:, 0].tolist() == [1, 1, 2, 2, 2, 2]
