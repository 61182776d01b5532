from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
import pytest
from typing_extensions import Unpack

from counterpoint.errors import ConfigError, CounterpointError, MediaError, UnknownNameError
from counterpoint.registry import (
    Part,
    Registry,
    check_choice,
    check_choices,
    check_options,
    did_you_mean,
    parameters_of,
)


@pytest.fixture
def fruit():
    registry = Registry("fruit")
    registry.register("apple")("an apple")
    registry.register("pear")("a pear")
    return registry


def test_names_lead_to_parts(fruit):
    assert fruit.get("pear") == "a pear"
    assert fruit.names() == list(fruit) == ["apple", "pear"]
    assert fruit.names("*ar") == ["pear"]
    assert "pear" in fruit and "plum" not in fruit


def test_a_near_miss_is_answered_with_what_was_meant(fruit):
    with pytest.raises(UnknownNameError, match="No fruit is called 'aple'. Did you mean 'apple'"):
        fruit.get("aple")


def test_a_far_miss_is_answered_with_all_there_is(fruit):
    with pytest.raises(UnknownNameError, match="Known: apple, pear"):
        fruit.get("xyzzy")
    assert did_you_mean("x", []) == " Known: none."


def test_a_name_that_is_no_word_is_answered_too(fruit):
    for name in (None, 3):
        with pytest.raises(UnknownNameError, match=f"No fruit is called {name}. Known: apple, pear"):
            fruit.get(name)


def test_options_are_what_can_still_be_given_by_name():
    def press(fruit, litres=1, *, cloudy=False): ...

    check_options("press", press, {"litres": 2, "cloudy": True}, given=1)
    check_options("anything", lambda **options: None, {"at": 1, "all": 2})
    with pytest.raises(ConfigError, match="press has no option 'clouds'. Did you mean 'cloudy'"):
        check_options("press", press, {"clouds": 1}, given=1)
    for given in (1, 2):
        with pytest.raises(ConfigError, match="press has no option 'fruit'"):
            check_options("press", press, {"fruit": 1}, given=given)


class Press:
    """Annotated as parts are."""

    def __init__(
        self,
        fruit: str,
        *,
        litres: int = 1,
        sugar: float | None = None,
        kinds: Sequence[int] | int = 1,
        cloudy: bool = False,
        spices: Mapping[str, float] | None = None,
        label: str = "",
        size: tuple[float, float] = (1.0, 2.0),
        then: Callable[[], None] | None = None,
        colour: Literal["red", "green"] = "red",
        halves: Literal[1, 2] | None = None,
        order: Sequence[Literal["first", "last"]] = (),
    ) -> None: ...


@pytest.mark.parametrize(
    ("option", "good", "bad", "wanted"),
    [
        ("litres", [1, np.int64(2)], [2.0, True, "1", None], "int"),
        ("sugar", [1, 0.5, np.float32(1), None, float("inf")], ["1", float("nan"), False], "float or null"),
        ("kinds", [3, [1, 2], (1,), []], ["12", [1, "2"], 1.5], "list of int or int"),
        ("cloudy", [True], [0, "false"], "bool"),
        ("spices", [{"mace": 1}, {}, None], [[], "mace", 2], "mapping or null"),
        ("label", ["dry", Path("dry")], [1, None, ["dry"]], "str"),
        ("size", [(1, 2), [1.5, 2]], [1, ["1", 2]], "list of float"),
        ("colour", ["red"], [None, 1, True, "purple"], "one of 'red', 'green'"),
        ("halves", [1, 2, None], [True, 3, "1", 1.0], "one of 1, 2 or null"),
        ("order", [["first"], ("last", "first")], ["first", ["1st"]], "list of one of 'first', 'last'"),
        ("then", [print, None, "whatever it is"], [], ""),  # no configuration could say it
    ],
)
def test_a_value_is_of_the_type_that_is_annotated(option, good, bad, wanted):
    for value in good:
        check_options("press", Press, {option: value}, given=1)
    for value in bad:
        with pytest.raises(ConfigError, match=f"^press: {option} is .*; it must be {wanted}(, not NaN)?$"):
            check_options("press", Press, {option: value}, given=1)


def test_a_near_miss_of_a_choice_is_answered_with_what_was_meant():
    with pytest.raises(ConfigError, match="colour is 'gren'; it must be one of 'red', 'green'. Did you mean 'green'?"):
        check_options("press", Press, {"colour": "gren"}, given=1)


def test_an_annotation_that_cannot_be_told_forbids_nothing():
    def press(litres: Litres): ...  # noqa: F821

    check_options("press", press, {"litres": "many"})


@pytest.mark.parametrize("choices", [["red", "green"], Literal["red", "green"]])
def test_one_of_several_words(choices):
    check_choice("colour", "red", choices)
    with pytest.raises(ConfigError, match=r"colour='gren' is not one of \['red', 'green'\]. Did you mean 'green'"):
        check_choice("colour", "gren", choices)


def test_a_name_is_given_once(fruit):
    with pytest.raises(ValueError, match="registered twice"):
        fruit.register("pear")("another")


def test_media_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(MediaError("a/b.mp4", "it is empty")))
    assert isinstance(error, CounterpointError)
    assert str(error) == "a/b.mp4: it is empty"
    assert error.reason == "it is empty"


class Sharing(TypedDict, total=False):
    """Declared once, taken by several."""

    zeta: float | Literal["learned"] | None


class Taker(Part):
    """A part that shares options and has a choice of its own."""

    def __init__(self, *, form: Literal["round", "square"] = "round", **shared: Unpack[Sharing]) -> None:
        self.form, self.shared = form, shared


def test_shared_options_are_listed_and_held_against_their_types():
    assert [parameter.name for parameter in parameters_of(Taker)] == ["form", "zeta"]
    check_options("Taker", Taker, {"zeta": 0.5, "form": "square"})
    with pytest.raises(ConfigError, match="Taker has no option 'zetta'. Did you mean 'zeta'"):
        check_options("Taker", Taker, {"zetta": 0.5})
    with pytest.raises(ConfigError, match="Taker: zeta is 'learn'; .* Did you mean 'learned'"):
        check_options("Taker", Taker, {"zeta": "learn"})


def test_a_constructor_and_a_function_hold_their_choices():
    @check_choices
    def cut(*, form: Literal["round", "square"] = "round", sides: int = 4) -> str:
        return f"{form} {sides}"

    assert cut(form="square", sides="many") == "square many" and Taker(form="square").form == "square"
    for function in (cut, Taker):
        with pytest.raises(ConfigError, match="form is 'rond'; .* Did you mean 'round'"):
            function(form="rond")
