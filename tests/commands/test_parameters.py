"""Exact parameter counts of CFN-SR's Tables 1 and 2, from the recipes themselves."""

import pytest

from counterpoint.cli import main
from counterpoint.commands.parameters import IN_THE_PAPER, count_encoders, count_recipes, rows_of_tables
from counterpoint.errors import UnknownNameError

EXACT = {
    "visual-alone": 25_882_056,
    "audio-alone": 34_024,
    "average": 25_916_080,
    "multiplicative": 25_916_080,
    "product": 25_916_080,
    "concat": 25_916_072,  # without cross-modal blocks
    "cfn-sr-no-self-attention": 26_051_369,
    "cfn-sr": 26_301_417,
    "cfn-sr-no-residual": 26_301_417,
    "cfn-sr-released": 26_301_417,
    "msaf": 25_940_724,
    "concat-fc": 26_870_824,
}
# No known configuration gives the paper's figure; these are what follows from the trunks and the parts' own formulas.
TRUNKS = 25_865_664 + 20_704
HEADS = (1664 + 1) * 8 + (2048 + 1) * 8
OURS = {
    "mmtm": (TRUNKS + HEADS + sum(c * w + w + w * c + c for c, w in ((1056, 528), (2112, 1056))), 31.97),
    "mcb": (TRUNKS + (16000 + 1) * 8, 51.03),
    # Tokens of 2048 channels are mapped to 64 first; scores are of the audio network's 64 channels.
    "cfn-sr-video-into-audio": (EXACT["concat"] + 2049 * 64 + 250_048 + 65 * 64 + 64 * 64 + 65, 25.67),
}


def test_counts_are_exact_and_round_to_what_the_paper_prints():
    for row in count_recipes(EXACT, *IN_THE_PAPER):
        assert row.parameters == EXACT[row.name], row.name
        assert not row.differs
        assert (row.printed is None) == (row.name == "cfn-sr-released")


def test_counts_without_a_known_configuration():
    for row in count_recipes(OURS, *IN_THE_PAPER):
        assert (row.parameters, row.printed) == OURS[row.name], row.name
        assert row.differs


def test_trunks():
    assert {r.name: r.parameters for r in count_encoders(["resnext50_3d", "mfcc_cnn"])} == {
        "resnext50_3d": 25_865_664,
        "mfcc_cnn": 20_704,
    }


def test_every_row_of_the_tables_is_counted():
    assert set(EXACT) | set(OURS) | {"erann"} == set(rows_of_tables())
    assert all(row.parameters for row in count_recipes(["erann"], *IN_THE_PAPER))


def test_localisers_are_counted_over_features():
    from counterpoint.localise import create_localiser

    (row,) = count_recipes(["psp"], "small_av", 28)
    net = create_localiser("psp", {"visual": 512, "audio": 128}, 28)
    assert row.parameters == sum(p.numel() for p in net.parameters()) and not row.reason


def test_of_other_models_the_paper_says_nothing():
    (row,) = count_recipes(["cfn-sr"], "small_av", 8)
    assert row.printed is None and not row.differs and row.parameters < 1e6
    assert count_recipes(["cfn-sr"], *IN_THE_PAPER[:1], 5)[0].printed is None
    with pytest.raises(UnknownNameError, match="Did you mean 'small_av'"):
        count_recipes(["cfn-sr"], "smal_av", 8)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ("26,301,417", "26.30 M", "51.03 M", "≠ no known configuration")),
        (
            ["recipes", "concat", "--model", "small_av", "--classes", "10"],
            ("small_av, 10 classes", "concat", "326,722"),
        ),
        (["methods", "cfn-sr"], ("resnext50_mfcc, 8 classes", "26,301,417")),
        (["models", "small*"], ("small_av",)),
        (["encoders", "mfcc*"], ("20,704",)),
    ],
)
def test_the_command(words, found, capsys):
    assert main(["list", *words, "--params"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in found), out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fusions"], "--params counts recipes, models, encoders, not fusions"),
        (["recipes", "cfnsr"], "Did you mean 'cfn-sr'"),
        (["--model", "resnext"], "No model is called 'resnext'"),
        (["--classes", "0"], "at least 1"),
    ],
)
def test_mistakes_are_told(words, told, capsys):
    assert main(["list", *words, "--params"]) == 2
    assert told in capsys.readouterr().err
