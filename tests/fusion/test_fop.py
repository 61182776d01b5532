"""FOP from its description, in float64 and NumPy."""

import math

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.functional import orthogonal_projection_loss
from counterpoint.fusion import FOP, create_fusion
from counterpoint.losses import create_loss
from counterpoint.metrics import equal_error_rate

DIMS = {"face": 9, "voice": 5}
THREE = {**DIMS, "text": 4}
C, WIDTH = 6, 8


def array(tensor):
    return tensor.detach().numpy()


def linear(layer, x):
    return x @ array(layer.weight).T + array(layer.bias)


def features(dims=DIMS, batch=4):
    return {m: torch.randn(batch, d, dtype=torch.float64) for m, d in dims.items()}


def built(dims=DIMS, **options):
    """Trained enough to have running statistics of its own."""
    fusion = FOP(dims, C, width=WIDTH, gate_hidden=7, **options).double()
    for branch in fusion.branch.values():
        torch.nn.init.uniform_(branch.norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(branch.norm.bias, -0.5, 0.5)
    fusion(features(dims, 16))
    return fusion.eval()


def embedding(branch, x):
    """Linear, batch norm, ReLU, and length one."""
    z, norm = linear(branch.linear, array(x)), branch.norm
    z = (z - array(norm.running_mean)) / np.sqrt(array(norm.running_var) + norm.eps)
    z = np.maximum(z * array(norm.weight) + array(norm.bias), 0)
    return z / np.linalg.norm(z, axis=-1, keepdims=True)


def close(tensor, expected):
    np.testing.assert_allclose(array(tensor), expected, rtol=1e-9, atol=1e-12)


def energy(x, lam):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return 4 * (variance + lam) / ((x - mean) ** 2 + 2 * variance + 2 * lam)


@pytest.mark.parametrize("dims", [DIMS, THREE])
def test_linear_fusion_adds_the_embeddings_by_two_numbers(dims):
    fusion, x = built(dims, fusion="linear"), features(dims)
    each = {m: embedding(fusion.branch[m], x[m]) for m in dims}
    u = sum(fusion.factor[m].item() * e for m, e in each.items())
    out = fusion(x)
    close(out.fused, u)
    close(out.logits, u @ array(fusion.head.weights()["fused"]).T + array(fusion.head.bias))
    assert out.weights is None
    for m, e in fusion.embed(x).items():
        close(e, each[m])
    assert all(0 <= factor <= 1 for factor in fusion.factor.values())


@pytest.mark.parametrize("attention", [None, "simam2"])
def test_gated_fusion_is_eq_4_with_a_gate_of_both(attention):
    """U = tanh(f) g + (1 - g) tanh(v), and with SimAM² Eqs. (7), (8) on top of it."""
    fusion, x = built(attention=attention), features()
    f, v = (embedding(fusion.branch[m], x[m]) for m in DIMS)
    first, _, last = fusion.superposition.gate.net
    g = 1 / (1 + np.exp(-linear(last, np.maximum(linear(first, np.concatenate([f, v], 1)), 0))))
    x1, x2 = np.tanh(f), np.tanh(v)
    u = g * x1 + (1 - g) * x2
    if attention:
        r = fusion.superposition.attention.r.item()
        assert r == pytest.approx(math.tanh(2.5), rel=1e-3)  # of the one batch it was shown
        e = (2 - r) * energy(u, 1e-6) - g**2 * energy(x1, 0) - (1 - g) ** 2 * energy(x2, 0)
        u = u / (1 + np.exp(-e))
    out = fusion(x)
    close(out.fused, u)
    close(out.weights["face"], g)
    close(out.logits, u @ array(fusion.head.weights()["fused"]).T + array(fusion.head.bias))
    close(fusion.embed({"voice": x["voice"]})["voice"], x2)


def test_what_is_judged_on_the_side_drops_nothing_and_moves_no_statistics():
    """Unimodal logits come from silencing, in the middle of training too."""
    fusion = FOP(DIMS, C, dropout=0.9).double().train()
    x = features(batch=16)
    before = {k: v.clone() for k, v in fusion.state_dict().items()}
    first, second = fusion.ablated(x, "face"), fusion.ablated(x, "face")
    assert torch.equal(first, second)
    assert all(torch.equal(v, before[k]) for k, v in fusion.state_dict().items())
    fusion(x)
    assert all(part.training for part in fusion.modules())
    assert fusion.branch["face"].norm.num_batches_tracked == 1


def test_sizes_are_those_of_the_release():
    """4096-d faces, 512-d voices, 128-d embeddings, 901 identities; its gate has a batch norm more (256 numbers)."""
    with torch.device("meta"):
        gated, plain = (FOP({"face": 4096, "voice": 512}, 901, fusion=kind) for kind in ("gated", "linear"))
    branches = (4096 + 512 + 2) * 128 + 4 * 128
    head = 128 * 901 + 901
    assert sum(p.numel() for p in plain.parameters()) == branches + head + 2
    assert sum(p.numel() for p in gated.parameters()) == branches + head + (256 + 1) * 128 + (128 + 1) * 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fusion": "linea"}, "Did you mean 'linear'"),
        ({"width": 0}, "width of 1 or more"),
        ({"dropout": 1.0}, "dropout in"),
        ({"zeta": 0.5}, "no option 'zeta'"),
        ({"attention": "simam3"}, "Did you mean 'simam2'"),
    ],
)
def test_what_cannot_be_built(options, message):
    with pytest.raises(ConfigError, match=message):
        create_fusion("fop", DIMS, C, **options)


def test_an_embedding_of_a_modality_that_is_not_there_or_of_another_width():
    with pytest.raises(UnknownNameError, match="Did you mean 'face'"):
        FOP(DIMS, C).embed({"faces": torch.zeros(2, 9)})
    with pytest.raises(ShapeError, match=r"'voice' has shape \(2, 9\), but FOP needs \(B, ..., 5\)"):
        FOP(DIMS, C).embed({"voice": torch.zeros(2, 9)})


@pytest.mark.parametrize("options", [{"attention": "simam2"}, {"fusion": "linear"}])
def test_learns_identities_from_vectors_and_sets_them_at_right_angles(options):
    """As feature files hold them, without encoders; judged on new clips."""
    generator = torch.Generator().manual_seed(0)
    centres = {m: torch.randn(C, d, generator=generator) for m, d in DIMS.items()}

    def drawn(target):
        noise = {m: 0.3 * torch.randn(len(target), d, generator=generator) for m, d in DIMS.items()}
        return {m: centres[m][target] + noise[m] for m in DIMS}

    fusion, loss = FOP(DIMS, C, width=16, dropout=0.1, **options), create_loss("orthogonal_projection")
    optimizer = torch.optim.Adam(fusion.parameters(), lr=1e-2)
    for _ in range(60):
        target = torch.randint(C, (24,), generator=generator)
        optimizer.zero_grad()
        loss(fusion(drawn(target)), target).backward()
        optimizer.step()
    target = torch.randint(C, (200,), generator=generator)
    with torch.no_grad():
        out = fusion.eval()(drawn(target))
    assert (out.logits.argmax(1) == target).float().mean() > 0.9
    assert orthogonal_projection_loss(out.fused, target) < 0.4  # 0 where all is at right angles


@pytest.mark.parametrize("kind", ["gated", "linear"])
def test_matches_faces_with_voices_of_people_it_never_saw(kind):
    """What a face and a voice share of a person is learnt from classes alone: no pair is ever compared in training."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(shape, generator=generator)

    maps = {"face": random(8, 24), "voice": random(8, 16)}

    def clips(people, each=8):
        person = random(people, 8).repeat_interleave(each, 0)
        x = {m: torch.tanh((person + 0.5 * random(*person.shape)) @ w / 8**0.5) for m, w in maps.items()}
        return x, torch.arange(people).repeat_interleave(each)

    def error_rate(fusion, x, person):
        with torch.no_grad():
            face, voice = fusion.eval().embed(x).values()
        return equal_error_rate(-torch.cdist(face, voice).flatten(), (person[:, None] == person).flatten())

    torch.manual_seed(0)
    fusion = FOP({m: w.shape[1] for m, w in maps.items()}, 60, fusion=kind, width=32, dropout=0.2)
    (x, target), strangers, loss = clips(60), clips(30), create_loss("orthogonal_projection")
    assert error_rate(fusion, *strangers) > 0.4
    optimizer = torch.optim.Adam(fusion.parameters(), lr=1e-2)
    for _ in range(15):
        for rows in torch.randperm(len(target), generator=generator).split(96):
            optimizer.zero_grad()
            loss(fusion.train()({m: v[rows] for m, v in x.items()}), target[rows]).backward()
            optimizer.step()
    assert error_rate(fusion, *strangers) < 0.3
