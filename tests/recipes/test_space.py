import pytest

from counterpoint.errors import ConfigError
from counterpoint.recipes.space import check_space


@pytest.mark.parametrize(
    "choices",
    [
        [],
        3,
        {"low": 1},
        {"low": 2, "high": 1},
        {"low": 0, "high": 1, "log": True},
        {"lo": 1},
        {"low": 1, "high": float("inf")},
    ],
)
def test_spaces_of_another_form_are_refused(choices):
    with pytest.raises(ConfigError, match=r"search_space: optim\.lr is"):
        check_space({"optim.lr": choices}, "search_space")


@pytest.mark.parametrize(
    ("name", "nearest"), [("optm.lr", "optim.lr"), ("balance.option.alpha", "balance.options"), (3, "Known|mean")]
)
def test_unknown_names_are_answered_with_the_nearest(name, nearest):
    with pytest.raises(ConfigError, match=f"unknown option {name!r}.*{nearest}"):
        check_space({name: [1]}, "search")


def test_what_can_be_searched_passes():
    space = {
        "optim.lr": {"low": 1e-4, "high": 1e-2, "log": True},
        "fusion.zeta": {"low": 0.1, "high": 0.9},
        "balance.options.noise.std": [1, 2],
        "model.inputs.audio": [{"name": "mfcc"}],
    }
    check_space(space, "search")
    with pytest.raises(ConfigError, match="must map dotted names"):
        check_space([1], "search")


@pytest.mark.parametrize(
    ("name", "choices", "words"),
    [
        ("optim.lr", ["a", "b"], r"optim\.lr is 'a'; it must be float"),
        ("optim.lr", [1e-3, None], r"optim\.lr is None"),
        ("epochs", [1, 2.5], r"epochs is 2\.5; it must be int"),
        ("epochs", {"low": 1, "high": 5}, ": epochs is int; give a list"),
        ("fusion.name", {"low": 1, "high": 5}, r"fusion\.name is 1\.0; it must be str"),
        ("augment", ["yes"], "augment is 'yes'; it must be bool"),
        ("balance.options", [3], r"balance\.options is 3; it must be mapping"),
    ],
)
def test_choices_of_another_type_are_refused(name, choices, words):
    with pytest.raises(ConfigError, match=rf"search_space\.?{words}"):
        check_space({name: choices}, "search_space")
