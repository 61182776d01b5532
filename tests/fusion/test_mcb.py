"""MCB against an explicit outer product, in float64 and NumPy."""

import itertools

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.fusion import MCB

TWO = {"audio": 6, "visual": 5}
THREE = {**TWO, "text": 3}
C = 4


def features(dims, batch=3, scale=1.0):
    return {m: scale * torch.randn(batch, d, dtype=torch.float64) for m, d in dims.items()}


@pytest.mark.parametrize("dims", [TWO, THREE])
def test_the_sketch_of_the_outer_product_rooted_and_brought_to_length_one(dims):
    fusion, x = MCB(dims, C, size=32).double(), features(dims)
    sketch = np.zeros((3, 32))
    for places in itertools.product(*(range(d) for d in dims.values())):
        parts = [(fusion.sketches[m], x[m][:, i].numpy(), i) for m, i in zip(dims, places, strict=True)]
        at = sum(int(s.index[i]) for s, _, i in parts) % 32
        sketch[:, at] += np.prod([float(s.sign[i]) * values for s, values, i in parts], axis=0)
    rooted = np.sign(sketch) * np.sqrt(np.abs(sketch))
    expected = rooted / np.linalg.norm(rooted, axis=1, keepdims=True)
    out = fusion(x)
    # The root is bounded in slope near zero, which moves entries by less than a thousandth.
    np.testing.assert_allclose(out.fused.detach().numpy(), expected, atol=1e-3)
    weight, bias = fusion.head.weights()["fused"].detach().numpy(), fusion.head.bias.detach().numpy()
    np.testing.assert_allclose(out.logits.detach().numpy(), expected @ weight.T + bias, atol=1e-3)


def test_lengths_of_features_do_not_matter_and_huge_ones_do_not_overflow():
    fusion, x = MCB(TWO, C, size=64), {m: t.float() for m, t in features(TWO).items()}
    reference = fusion(x).logits
    for audio, visual in ((1e3, 1e-3), (1e18, 1e18), (1e-12, 1.0)):
        scaled = fusion({"audio": audio * x["audio"], "visual": visual * x["visual"]}).logits
        torch.testing.assert_close(scaled, reference, rtol=1e-3, atol=1e-4)


def test_the_sketch_is_drawn_from_its_seed_and_saved():
    torch.manual_seed(0)
    first = MCB(TWO, C, size=64, seed=3)
    torch.manual_seed(1)
    assert torch.equal(MCB(TWO, C, size=64, seed=3).sketches["audio"].index, first.sketches["audio"].index)
    other = MCB(TWO, C, size=64, seed=4)
    assert not torch.equal(other.sketches["audio"].index, first.sketches["audio"].index)
    other.load_state_dict(first.state_dict())
    x = {m: t.float() for m, t in features(TWO).items()}
    torch.testing.assert_close(other(x).logits, first(x).logits)
    assert set(first.sketches["visual"].sign.tolist()) == {-1.0, 1.0}


def test_autocast_keeps_the_transforms_in_float32():
    fusion, x = MCB(TWO, C, size=64), {m: t.float() for m, t in features(TWO).items()}
    with torch.autocast("cpu", torch.bfloat16):
        out = fusion({m: t.bfloat16() for m, t in x.items()})
    assert out.fused.dtype == torch.bfloat16
    assert (out.logits.float() - fusion(x).logits).abs().max() < 0.05


def test_parameters_at_the_published_size():
    """16000 dimensions and eight classes, on no device."""
    with torch.device("meta"):
        fusion = MCB({"audio": 1664, "visual": 2048}, 8)
    assert sum(p.numel() for p in fusion.parameters()) == 128_008


def test_a_sketch_of_one_dimension_is_refused():
    with pytest.raises(ConfigError, match="size, the dimensions of the sketch"):
        MCB(TWO, C, size=1)
