"""What type checkers see of names that are imported when they are first used: they are told of every one."""

import ast
from pathlib import Path

import pytest

import counterpoint


@pytest.mark.parametrize("package", ["", "data", "training"])
def test_type_checkers_are_told_of_every_name_that_is_imported_late(package):
    path = Path(counterpoint.__file__).parent / package / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    seen = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    module = getattr(counterpoint, package) if package else counterpoint
    late = {*module.__all__, *getattr(module, "_FURTHER", ())}
    assert not late - seen, "import them under TYPE_CHECKING"
