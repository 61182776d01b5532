import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from balance_parts import counted, encoder, encoders, give_gradients, output, output_of_ratio, random_output
from counterpoint.balance import BALANCERS, OGM, OGMGE, create_balancer
from counterpoint.encoders import create_encoder
from counterpoint.errors import ConfigError, CounterpointError, UnknownNameError
from counterpoint.functional import score_ratio, zeta_ratio
from counterpoint.fusion import create_fusion


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def ratios_by_hand(logits, target):
    """OGM-GE: summed probability of the right class, over the mean of the other modalities' sums."""
    sums = [sum(softmax(one)[i, y] for i, y in enumerate(target)) for one in logits]
    return [s / np.mean([t for j, t in enumerate(sums) if j != i]) for i, s in enumerate(sums)]


def coefficients_by_hand(ratios, alpha):
    return [1 - math.tanh(alpha * r) if r > 1 else 1.0 for r in ratios]


def is_conv(name):
    return name.split(".")[1] in ("0", "3") and name.endswith("weight")


@pytest.mark.parametrize(
    ("alpha", "ratio", "k"),
    [(0.8, 1.0001, 0.336), (0.8, 2, 0.078), (0.8, 3, 0.016), (0.1, 1.0001, 0.900), (0.1, 2, 0.803), (0.8, 0.9999, 1)],
)
def test_published_coefficients(alpha, ratio, k):
    nets = encoders()
    give_gradients(nets)
    record = OGM(nets, alpha=alpha).step(*output_of_ratio(ratio))
    torch.testing.assert_close(
        record["ratio"], torch.tensor([ratio, 1 / ratio], dtype=torch.float64), rtol=1e-9, atol=0
    )
    assert record["coefficient"][0].item() == pytest.approx(k, abs=5e-4)
    assert record["coefficient"][1].item() == pytest.approx(1 if ratio > 1 else 1 - math.tanh(alpha / ratio))


@pytest.mark.parametrize("names", [("audio", "visual"), ("audio", "visual", "text")])
@pytest.mark.parametrize("alpha", [0.1, 0.8, 2.6])
def test_agrees_with_the_equations(names, alpha):
    out, target = random_output(*names)
    expected = ratios_by_hand([out.unimodal_logits[m].numpy() for m in names], target.numpy())
    k = coefficients_by_hand(expected, alpha)
    assert min(k) < 1
    nets = encoders(*names).double()
    before = give_gradients(nets)
    record = OGM(nets, alpha=alpha).step(out, target)
    np.testing.assert_allclose(record["ratio"], expected, rtol=1e-12)
    np.testing.assert_allclose(record["coefficient"], k, rtol=1e-12)
    for name, p in nets.named_parameters():
        factor = k[names.index(name.split(".")[0])] if is_conv(name) else 1.0
        np.testing.assert_allclose(p.grad, before[name].numpy() * factor, rtol=1e-12, err_msg=name)


def test_zeta_ratio_is_equation_11():
    out, target = random_output("visual", "audio")
    zeta = out.weights["visual"].numpy()
    rho = zeta.sum() / (1 - zeta).sum()
    nets = encoders("visual", "audio")
    give_gradients(nets)
    ratio = OGM(nets, ratio="zeta").step(out, target)["ratio"]
    np.testing.assert_allclose(ratio, [rho, 1 / rho], rtol=1e-12)
    torch.testing.assert_close(ratio, zeta_ratio(list(out.weights.values())))


def test_zeta_falls_back_to_scores_where_there_are_no_weights():
    out, target = random_output("audio", "visual")
    bare = output(dict(out.unimodal_logits))
    nets = encoders()
    give_gradients(nets)
    ratio = OGM(nets, ratio="zeta").step(bare, target)["ratio"]
    torch.testing.assert_close(ratio, score_ratio(out.unimodal_logits, target))


def test_order_is_that_of_the_encoders():
    out, target = random_output("visual", "audio")
    nets = encoders("audio", "visual")
    give_gradients(nets)
    balancer = OGM(nets)
    assert balancer.modalities == ("audio", "visual")
    expected = ratios_by_hand([out.unimodal_logits[m].numpy() for m in ("audio", "visual")], target.numpy())
    np.testing.assert_allclose(balancer.step(out, target)["ratio"], expected)


def test_gradients_stay_where_they_are_and_nothing_else_moves():
    nets = encoders()
    head = nn.Linear(8, 2)
    give_gradients(nets)
    head_before = give_gradients(head)
    nets["audio"][0].weight.requires_grad_(False).grad = None  # frozen
    places = {name: p.grad.data_ptr() for name, p in nets.named_parameters() if p.grad is not None}
    tensors = {name: p.grad for name, p in nets.named_parameters() if p.grad is not None}
    values = {name: p.detach().clone() for name, p in nets.named_parameters()}
    OGM(nets).step(*output_of_ratio(2))
    for name, p in nets.named_parameters():
        assert torch.equal(p, values[name])
        if name in places:
            assert p.grad is tensors[name]
            assert p.grad.data_ptr() == places[name]
    assert nets["audio"][0].weight.grad is None
    for name, p in head.named_parameters():
        assert torch.equal(p.grad, head_before[name])


def test_all_parameters():
    nets = encoders()
    before = give_gradients(nets)
    k = OGM(nets, parameters="all").step(*output_of_ratio(2))["coefficient"]
    for name, p in nets.named_parameters():
        factor = k[0 if name.startswith("audio") else 1]
        torch.testing.assert_close(p.grad, before[name] * factor, check_dtype=False)


class HandWritten(nn.Module):
    def __init__(self):
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(2, 1, 3, 3))
        self.table = nn.Parameter(torch.randn(2, 3, 3))


def test_convolutions_of_every_kind():
    nets = {
        "audio": nn.Sequential(nn.Conv1d(1, 2, 3), nn.ConvTranspose2d(1, 2, 3), nn.Linear(2, 2)),
        "visual": nn.Sequential(nn.Conv3d(1, 2, 3), HandWritten()),
    }
    chosen = OGM(nets).parameters
    assert [id(p) for p in chosen["audio"]] == [id(nets["audio"][0].weight), id(nets["audio"][1].weight)]
    assert [id(p) for p in chosen["visual"]] == [id(nets["visual"][0].weight), id(nets["visual"][1].kernel)]


@pytest.mark.parametrize(
    ("window", "on"), [((0, 2), {0, 1, 2}), ((1, 1), {1}), ([2, 3], {2, 3}), (None, {0, 1, 2, 3, 4})]
)
def test_window_of_epochs_is_inclusive(window, on):
    nets = encoders()
    balancer = OGM(nets, epochs=window)
    for epoch in range(5):
        balancer.set_epoch(epoch)
        before = give_gradients(nets)
        record = balancer.step(*output_of_ratio(2))
        changed = {name for name, p in nets.named_parameters() if not torch.equal(p.grad, before[name])}
        assert changed == ({n for n in before if is_conv(n) and n.startswith("audio")} if epoch in on else set())
        assert record["ratio"][0].item() == pytest.approx(2)
        assert (record["coefficient"][0] < 1) == (epoch in on)


def test_default_window_is_that_of_the_release():
    balancer = OGM(encoders())
    active = []
    for epoch in (0, 50, 51):
        balancer.set_epoch(epoch)
        active.append(balancer.active)
    assert active == [True, True, False]


def test_parts_of_an_accumulated_batch_are_judged_together():
    out, target = random_output("audio", "visual", batch=9)
    nets = encoders()
    give_gradients(nets)
    whole = OGM(nets).step(out, target)["ratio"]
    balancer = OGM(nets)
    for _ in range(2):  # the second time, nothing is left of the first
        for rows in (slice(0, 4), slice(4, 6), slice(6, 9)):
            part = output({m: v[rows] for m, v in out.unimodal_logits.items()}), target[rows]
            if rows.stop < 9:
                balancer.observe(*part)
            else:
                torch.testing.assert_close(balancer.step(*part)["ratio"], whole)


def test_no_host_sync_and_calls_do_not_grow_with_the_batch():
    nets = encoders()
    calls = []
    for batch in (2, 64):
        out, target = random_output("audio", "visual", batch=batch)
        give_gradients(nets)
        with counted() as counter:
            OGM(nets).step(out, target)
        assert counter.host_syncs == 0
        assert counter.calls.count("_foreach_mul_") == 2  # one per modality
        calls.append(len(counter.calls))
    assert calls[0] == calls[1]
    assert calls[0] < 60


def test_steps_on_a_device_that_nothing_can_be_read_from():
    with torch.device("meta"):
        nets = encoders()
        out = output({m: torch.empty(4, 3) for m in nets})
        target = torch.empty(4, dtype=torch.long)
    for p in nets.parameters():
        p.grad = torch.empty_like(p)
    record = OGM(nets).step(out, target)
    assert record["coefficient"].shape == (2,) and record["coefficient"].is_meta


def test_half_precision_gradients_and_logits():
    nets = encoders().bfloat16()
    before = give_gradients(nets)
    out, target = output_of_ratio(2)
    k = OGM(nets).step(output({m: v.bfloat16() for m, v in out.unimodal_logits.items()}), target)["coefficient"]
    assert k.dtype == torch.float32
    gradient = nets["audio"][0].weight.grad
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient.float(), before["audio.0.weight"].float() * k[0], rtol=1e-2, atol=1e-3)


def test_loss_is_cross_entropy():
    out, target = random_output("audio", "visual")
    joint = out.logits.numpy()
    expected = -np.mean([np.log(softmax(joint)[i, y]) for i, y in enumerate(target)])
    assert OGM(encoders()).loss(out, target).item() == pytest.approx(expected)
    smooth = (
        -0.9 * np.mean([np.log(softmax(joint)[i, y]) for i, y in enumerate(target)])
        - 0.1 * np.log(softmax(joint)).mean()
    )
    assert OGM(encoders()).loss(out, target, label_smoothing=0.1).item() == pytest.approx(smooth)


def test_state_goes_out_and_comes_back():
    balancer = OGM(encoders())
    balancer.set_epoch(7)
    fresh = OGM(encoders())
    fresh.load_state_dict(balancer.state_dict())
    assert fresh.epoch == 7
    with pytest.raises(ConfigError, match="another balancer"):
        fresh.load_state_dict({"epoch": 1, "weights": []})


def test_names():
    assert {"ogm", "ogm_ge"} <= set(BALANCERS)
    assert create_balancer("ogm", encoders(), alpha=0.1).alpha == 0.1
    with pytest.raises(UnknownNameError, match="mean 'ogm_ge'"):
        create_balancer("ogmge", encoders())
    with pytest.raises(ConfigError, match="no option 'aplha'.*mean 'alpha'"):
        create_balancer("ogm", encoders(), aplha=0.1)
    with pytest.raises(ConfigError, match="no option 'noise'"):
        create_balancer("ogm", encoders(), noise="all")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": "zetta"}, "mean 'zeta'"),
        ({"parameters": "convs"}, "mean 'conv'"),
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": math.nan}, "alpha=nan"),
        ({"epochs": (3, 2)}, "first <= last"),
        ({"epochs": (3,)}, "first <= last"),
        ({"epochs": 50}, "first <= last"),
    ],
)
def test_options_outside_their_range(options, message):
    with pytest.raises(ConfigError, match=message):
        OGM(encoders(), **options)


def test_encoders_that_cannot_be_balanced():
    with pytest.raises(ConfigError, match="at least two"):
        OGM(encoders("audio"))
    with pytest.raises(ConfigError, match="'visual' has no convolutions.*parameters='all'"):
        OGM({"audio": encoder(), "visual": nn.Linear(2, 2)}, parameters="conv")
    with pytest.raises(ConfigError, match="'text' has no convolutions to balance, and no other weights"):
        OGM({"audio": encoder(), "text": nn.Identity()})
    with pytest.raises(ConfigError, match="'text' has no parameters to balance"):
        OGM({"audio": encoder(), "text": nn.Identity()}, parameters="all")
    shared = encoder()
    with pytest.raises(ConfigError, match="'audio' and 'visual' share"):
        OGM({"audio": shared, "visual": shared})


def test_output_of_other_modalities_and_missing_gradients():
    with pytest.raises(ConfigError, match="'visual'"):
        OGM(encoders("audio", "text")).step(*output_of_ratio(2))
    with pytest.raises(CounterpointError, match="after backward"):
        OGM(encoders()).step(*output_of_ratio(2))


class Patches(nn.Module):
    """As in a vision transformer: one convolution that makes patches, and linear layers."""

    def __init__(self, convolution):
        super().__init__()
        self.patches = convolution
        self.blocks = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 64, batch_first=True), 2)


@pytest.mark.parametrize("balancer", [OGM, OGMGE])
@pytest.mark.parametrize(
    "patches",
    [Patches(nn.Conv2d(3, 8, 4)), Patches(nn.Conv1d(1, 8, 10)), nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 4))],
)
def test_encoders_of_few_convolutions_are_reached_by_default(balancer, patches):
    """Of a ViT, wav2vec 2.0 and a patch transformer 1 of 40, 2 of 46 and 2 of 52 tensors were."""
    with pytest.warns(UserWarning, match=r"acts on .*its convolutions are \d"):
        made = balancer({"audio": encoder(), "visual": patches})
    weights = [p for p in patches.parameters() if p.ndim >= 2]
    assert [id(p) for p in made.parameters["visual"]] == [id(p) for p in weights]
    assert len(made.parameters["audio"]) == len(OGM(encoders()).parameters["audio"])
    share = sum(p.numel() for p in weights) / sum(p.numel() for p in patches.parameters())
    count = len(list(patches.parameters()))
    assert share > 0.8 and f"{len(weights)} of {count} tensors of visual ({share:.1%}" in made.notes[0]


class Shared(nn.Module):
    """An encoder whose convolution is that share of its parameters, the rest of `axes` axes."""

    def __init__(self, share, axes):
        super().__init__()
        self.convolution = nn.Conv1d(1, 10, 10, bias=False)
        self.rest = nn.Parameter(torch.zeros(round(100 / share) - 100, *[1] * (axes - 1)))


def test_less_than_a_fifth_is_told_and_less_than_a_tenth_refused():
    vit = Patches(nn.Conv2d(3, 8, 4))
    nets = {"audio": encoder(), "visual": vit}
    with pytest.raises(ConfigError, match=r"acts on \d\.\d% of what is trained of .* 'visual'.*parameters='all'"):
        OGM(nets, parameters="conv")
    few = OGM(nets, parameters="all").notes[0]
    assert f"{len(list(vit.parameters()))} of {len(list(vit.parameters()))} tensors of visual (100.0%" in few
    for share, told in ((0.15, True), (0.25, False)):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            made = OGM({"audio": encoder(), "visual": Shared(share, 2)}, parameters="conv")
        assert [str(w.message) for w in found] == ([f"{made.notes[0]}; `parameters` chooses."] if told else [])
    for which, axes in (("conv", 2), ("auto", 1)):  # what has one axis is reached by "all" alone
        with pytest.raises(ConfigError, match=f"parameters='{which}' acts on 9.0% .*parameters='all'"):
            OGM({"audio": encoder(), "visual": Shared(0.09, axes)}, parameters=which)
    frozen = Shared(0.05, 2).requires_grad_(False)  # there is nothing of which this would be little
    with pytest.warns(UserWarning, match="acts on"):
        OGM({"audio": encoder(), "visual": frozen}, parameters="conv")


@pytest.mark.parametrize(
    "name", ["audio_cnn", "visual_cnn", "resnet18", "resnet34", "resnet18_3d", "mfcc_cnn", "resnet_se34"]
)
def test_encoders_of_the_papers_are_balanced_as_published(name, recwarn):
    with torch.device("meta"):
        one, other = create_encoder(name), create_encoder(name)
    default, published = (OGM({"a": one, "b": other}, **options) for options in ({}, {"parameters": "conv"}))
    assert not recwarn.list
    assert [[id(p) for p in of] for of in default.parameters.values()] == [
        [id(p) for p in of] for of in published.parameters.values()
    ]


@pytest.mark.parametrize("name", ["sum", "film", "gated"])
@pytest.mark.parametrize("zeta", [0.5, 0.3, "learned"])
def test_a_fixed_zeta_tells_nothing(name, zeta):
    fusion = create_fusion(name, {"audio": 4, "visual": 4}, 3, zeta=zeta)
    output = fusion({"audio": torch.randn(2, 4), "visual": torch.randn(2, 4)})
    balancer = OGM(encoders(), ratio="zeta")
    if zeta == "learned":
        balancer.check(output)
        return
    with pytest.raises(ConfigError, match="not learned here.*fusion.zeta=learned"):
        balancer.check(output)
    with pytest.warns(UserWarning, match="not learned here"):  # in a loop of one's own
        balancer.observe(output, torch.tensor([0, 1]))
    OGM(encoders(), ratio="score").check(output)
