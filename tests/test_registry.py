import pickle

import pytest

from counterpoint.errors import CounterpointError, MediaError, UnknownNameError
from counterpoint.registry import Registry, did_you_mean


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


def test_a_name_is_given_once(fruit):
    with pytest.raises(ValueError, match="registered twice"):
        fruit.register("pear")("another")


def test_media_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(MediaError("a/b.mp4", "it is empty")))
    assert isinstance(error, CounterpointError)
    assert str(error) == "a/b.mp4: it is empty"
    assert error.reason == "it is empty"
