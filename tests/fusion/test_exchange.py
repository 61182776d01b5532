"""MMTM and MSAF as fusions: the part of `counterpoint.intermediate`, then heads of their own."""

import pytest
import torch

from counterpoint.fusion import create_fusion

DIMS = {"audio": 8, "visual": 12, "text": 4}


def features(*leading):
    return {m: torch.randn(*leading, d) for m, d in DIMS.items()}


@pytest.mark.parametrize(("name", "share"), [("mmtm", 1 / 3), ("msaf", 1.0)])
def test_heads_classify_what_the_part_gives(name, share):
    torch.manual_seed(0)
    fusion, x = create_fusion(name, DIMS, 5).eval(), features(4)
    acted = fusion.part(x)
    out = fusion(x)
    for m, head in fusion.head.each.items():
        expected = acted[m] @ head.weight[m].T + head.bias
        torch.testing.assert_close(out.unimodal_logits[m], expected)
    torch.testing.assert_close(out.logits, share * sum(out.unimodal_logits.values()))
    assert not torch.allclose(acted["audio"], x["audio"])


@pytest.mark.parametrize("name", ["mmtm", "msaf"])
def test_segments_act_within_themselves(name):
    fusion, x = create_fusion(name, DIMS, 5).eval(), features(2, 3)
    alone = fusion({m: t[:, 1] for m, t in x.items()})
    torch.testing.assert_close(fusion(x).logits[:, 1], alone.logits)


def test_silencing_changes_no_state_while_training():
    fusion, x = create_fusion("msaf", DIMS, 5).train(), features(4)
    before = {key: value.clone() for key, value in fusion.state_dict().items()}
    torch.testing.assert_close(fusion.ablated(x, "audio"), fusion.ablated(x, "audio"))  # nothing is dropped
    assert all(torch.equal(value, before[key]) for key, value in fusion.state_dict().items())
    assert fusion.part.training
    fusion.part.norm.eval()
    fusion.ablated(x, "audio")
    assert fusion.part.training and not fusion.part.norm.training  # every part is left in its own mode
    fusion.part.norm.train()
    fusion(x)
    assert not torch.equal(fusion.part.norm.running_mean, before["part.norm.running_mean"])


def test_options_arrive():
    assert create_fusion("mmtm", DIMS, 5, ratio=6, variant="released").part.squeeze.out_features == 8
    part = create_fusion("msaf", DIMS, 5, block_channels=4, block_dropout=0.0, reduction=2, lowest=0.5).part
    assert (part.block_channels, part.block_dropout, part.lowest, part.norm.num_features) == (4, 0.0, 0.5, 2)
