import pickle

import pytest

from counterpoint.errors import ConfigError, CounterpointError, MediaError, UnknownNameError
from counterpoint.registry import Registry, check_choice, check_options, did_you_mean


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

    check_options("press", press, ["litres", "cloudy"], given=1)
    check_options("anything", lambda **options: None, ["at", "all"])
    with pytest.raises(ConfigError, match="press has no option 'clouds'. Did you mean 'cloudy'"):
        check_options("press", press, ["clouds"], given=1)
    for given in (1, 2):
        with pytest.raises(ConfigError, match="press has no option 'fruit'"):
            check_options("press", press, ["fruit"], given=given)


def test_one_of_several_words():
    check_choice("colour", "red", ["red", "green"])
    with pytest.raises(ConfigError, match=r"colour='gren' is not one of \['red', 'green'\]. Did you mean 'green'"):
        check_choice("colour", "gren", ["red", "green"])


def test_a_name_is_given_once(fruit):
    with pytest.raises(ValueError, match="registered twice"):
        fruit.register("pear")("another")


def test_media_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(MediaError("a/b.mp4", "it is empty")))
    assert isinstance(error, CounterpointError)
    assert str(error) == "a/b.mp4: it is empty"
    assert error.reason == "it is empty"
