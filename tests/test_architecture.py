"""docs/architecture.md says what is so: every room, every place it names, and every equation where it says."""

import importlib
import re
from pathlib import Path

import pytest

from counterpoint.wants import WANTS
from test_layers import MAY_IMPORT

TEXT = (Path(__file__).parents[1] / "docs" / "architecture.md").read_text(encoding="utf-8")
EQUATIONS = re.findall(r"^\| (\S+) \| \((\d+)\) \| [^|]+ \| `([\w.]+)` \|$", TEXT, re.MULTILINE)
LAST = {"SimAM²": 11, "CFN-SR": 10, "BMFN": 8, "MMCosine": 6}
CITED = re.compile(r"Eqs?\. (\(\d+\)(?:(?:, | and | to )\(\d+\))*)")


def section(title):
    return TEXT.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def found(name):
    """The object of a dotted name."""
    module, _, attribute = name.rpartition(".")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(importlib.import_module(module), attribute)


def cited(text):
    """Numbers of the equations that a docstring cites."""
    numbers = set()
    for group in CITED.findall(text):
        for first, last in re.findall(r"\((\d+)\)(?: to \((\d+)\))?", group):
            numbers |= set(range(int(first), int(last or first) + 1))
    return numbers


def test_every_equation_of_the_papers_has_its_place():
    listed = {paper: [int(n) for p, n, _ in EQUATIONS if p == paper] for paper in LAST}
    assert listed == {paper: list(range(1, last + 1)) for paper, last in LAST.items()}


@pytest.mark.parametrize(("paper", "number", "name"), EQUATIONS)
def test_the_code_cites_its_equation(paper, number, name):
    text = found(name).__doc__
    assert int(number) in cited(text) and f"of {paper}" in text


def test_ranges_of_equations_are_read():
    assert cited("Eqs. (1) to (3) of CFN-SR, then Eq. (7), and Eqs. (9), (10) and (12).") == {1, 2, 3, 7, 9, 10, 12}


def test_every_room_is_described():
    rows = re.findall(r"^\| (`.+?) \|", section("The house"), re.MULTILINE)
    assert {room for row in rows for room in re.findall(r"`(\w+)`", row)} == set(MAY_IMPORT) - {"__init__"}


def test_every_place_that_is_named_is_there():
    names = set(re.findall(r"`(counterpoint\.[\w.]+)`", TEXT))
    assert len(names) > 40
    for name in names - {"counterpoint.parts"}:
        assert found(name) is not None


def test_wants_are_named_as_they_are():
    row = section("Contracts").split("**What a part wants**")[1].split(")")[0]
    assert set(re.findall(r"`(\w+)`", row)) <= set(WANTS)
