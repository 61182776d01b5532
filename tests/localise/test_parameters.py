"""Exact counts at the features of AVE, by formula; the BMFN figure is the released code's used parameters."""

import pytest

from counterpoint.localise import create_localiser

DIMS, C = {"visual": 512, "audio": 128}, 28


def count(name, dims=DIMS, **options):
    return sum(p.numel() for p in create_localiser(name, dims, C, **options).parameters())


def linear(inputs, outputs, bias=True):
    return inputs * outputs + bias * outputs


def lstm(inputs, hidden):
    return 2 * 4 * (hidden * (inputs + hidden) + 2 * hidden)


def layer(width=256, ffn=2048, out=True, norms=2):
    attention = linear(width, width) + linear(width, 2 * width) + out * linear(width, width)
    return attention + (linear(width, ffn) + linear(ffn, width) if ffn else 0) + norms * 2 * width


def guided(visual=512, audio=128):
    return linear(visual, 512) + linear(audio, 512) + 2 * linear(512, 49, False) + 49


def test_bmfn_as_released():
    # 26,768,671 are in use in the released code, whose expansion attention (88 in each of six layers) is unregistered.
    assert count("bmfn", variant="released") == 26_768_671 + 6 * 88
    assert count("bmfn", variant="released", supervision="weakly") == 26_768_671 + 6 * 88 + 257


def test_bmfn():
    bilinear = linear(512, 2560) + linear(128, 2560)
    fusion = 2 * bilinear + linear(512, 256) + linear(256, 512) + linear(256, 1)
    visual = linear(512, 512) + linear(512, 256) + linear(256, 512) + linear(512, 1)
    embeds = 2 * linear(512, 256) + linear(128, 256) + 3 * linear(512, 256) + linear(128, 256)
    layers = 3 * (layer(out=False) + 88 + layer()) + 4 * layer() + 2 * layer()
    head = linear(256, 1) + linear(256, C)
    assert count("bmfn") == fusion + visual + embeds + layers + head == 20_390_183
    assert count("bmfn", supervision="weakly") == count("bmfn")


def test_cmran():
    guide = linear(512, 512) + linear(128, 512) + linear(512, 256) + linear(256, 512)
    guide += linear(512, 256) + linear(128, 256) + linear(256, 1)
    embeds = 2 * (linear(512, 256) + linear(128, 256))
    layers = 2 * 2 * layer() + 2 * layer() + layer(ffn=0, norms=1)
    head = linear(256, 1) + linear(256, C)
    assert count("cmran") == linear(512, 512) + guide + embeds + layers + head == 9_509_150


def test_avel():
    heads = linear(512, 64) + linear(64, C + 1)
    assert count("avel") == lstm(128, 128) + lstm(512, 128) + guided() + heads == 1_335_246
    one = linear(256, 64) + linear(64, C + 1)
    assert count("avel", {"audio": 128}) == lstm(128, 128) + one
    assert count("avel", {"visual": 512}) == lstm(512, 128) + one


@pytest.mark.parametrize("supervision", ["fully", "weakly"])
def test_psp(supervision):
    head = linear(256, 64, False) + linear(64, C + 1, False)
    both = guided() + 2 * lstm(128, 128) + 4 * 256 * 256 + 2 * 256 + head
    if supervision == "fully":
        embed = linear(128, 256, False) + linear(512, 256, False) + 2 * linear(256, 128, False)
        assert count("psp") == both + embed + 2 * 256 * 256 == 1_548_657
    else:
        assert count("psp", supervision="weakly") == both + linear(512, 128) + C + 1 == 1_253_902
