"""Every example in a docstring runs and says the truth, and every public class has one."""

import ast
import doctest
import importlib
import inspect
import typing
from pathlib import Path

import pytest
import torch

import counterpoint
from counterpoint.balance import Balancer
from counterpoint.encoders import Encoder
from counterpoint.fusion import Fusion
from counterpoint.heads import Head
from counterpoint.intermediate import Intermediate
from counterpoint.localise import Localiser
from counterpoint.losses import Loss
from counterpoint.training.metrics import METRICS

SOURCE = Path(counterpoint.__file__).parent
ROOMS = ("fusion", "heads", "losses", "balance", "encoders", "intermediate", "localise", "metrics", "models")
ROOMS += ("functional",)
Documented = ast.Module | ast.ClassDef | ast.FunctionDef


def examples():
    """(module, object) -> its docstring, of all docstrings of the package that have an example."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = ("counterpoint", *path.relative_to(SOURCE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            text = ast.get_docstring(node) if isinstance(node, Documented) else None
            if text and ">>> " in text:
                found[".".join(parts).removesuffix(".__init__"), getattr(node, "name", "module")] = text
    return found


EXAMPLES = examples()


def public(room):
    """Name -> class or function; not what only type checkers look at, nor lists and tables."""
    module = importlib.import_module(f"counterpoint.{room}")
    names = getattr(module, "__all__", None) or [n for n, o in vars(module).items() if own_class(o, module)]
    parts = {name: getattr(module, name) for name in names}
    return {name: part for name, part in parts.items() if inspect.isclass(part) or inspect.isfunction(part)}


def own_class(value, module):
    return inspect.isclass(value) and value.__module__ == module.__name__ and not value.__name__.startswith("_")


def only_typed(part):
    return typing.is_typeddict(part) or getattr(part, "_is_protocol", False) or part is counterpoint.models.Model


def run(text, name, names):
    """What doctest has to say against the examples of a text; nothing where they are right."""
    report = []
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    return "".join(report)


@pytest.fixture
def _metrics_as_before(monkeypatch):
    """A metric that an example registers is gone after it."""
    for table in METRICS.values():
        monkeypatch.setattr(table, "_parts", dict(table._parts))


@pytest.mark.usefixtures("_metrics_as_before")
@pytest.mark.parametrize(("module", "name"), EXAMPLES)
def test_examples_run(module, name):
    torch.manual_seed(0)
    names = {**vars(importlib.import_module(module)), "torch": torch, "nn": torch.nn}
    assert run(EXAMPLES[module, name], name, names) == ""


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_class_has_an_example(room):
    classes = {name: part for name, part in public(room).items() if inspect.isclass(part) and not only_typed(part)}
    missing = [name for name, part in classes.items() if "Example:\n" not in (part.__doc__ or "")]
    assert not missing


@pytest.mark.parametrize("base", [Fusion, Head, Intermediate, Localiser, Encoder, Balancer, Loss])
def test_every_base_class_shows_a_part_of_ones_own(base):
    assert f"({base.__name__}):" in inspect.getdoc(base) or "(Blocks):" in inspect.getdoc(base)


def test_every_function_of_the_mathematics_has_an_example():
    missing = [name for name, part in public("functional").items() if "Example:\n" not in (part.__doc__ or "")]
    assert not missing and len(public("functional")) > 20


def test_a_wrong_example_is_found():
    assert "Expected:" in run(">>> 1 + 1\n3\n", "wrong", {})
