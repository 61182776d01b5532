"""Docstrings have the form that readers of Google style parse: one parameter per line, under its own name."""

import ast
import re
from pathlib import Path

import pytest

import counterpoint

SOURCE = Path(counterpoint.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Note")
NO_SECTION = re.compile(r"^(Arguments|Parameters|Params|Return|Raise|Examples|Usage):$", re.MULTILINE)
ROLE = re.compile(r":(?:py:)?(?:func|class|meth|mod|attr|data|exc|obj|ref|math):`")
NAME = re.compile(r"\*{0,2}[A-Za-z_][\w.]*(?:\[.*\])?")
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def sections_of(text: str) -> dict[str, list[str]]:
    """Section -> its lines, without the indentation of the section."""
    found: dict[str, list[str]] = {}
    name = None
    for line in text.splitlines():
        if (heading := re.fullmatch(r"(\w+):", line)) and heading[1] in SECTIONS:
            name = heading[1]
            found[name] = []
        elif name and line and not line.startswith(" "):
            name = None
        elif name and line:
            found[name].append(line[4:])
    return found


def entries(lines: list[str]) -> list[str]:
    """What stands before the colon of each entry; the whole line where there is none."""
    return [line.partition(": ")[0].rstrip(":") for line in lines if not line.startswith(" ")]


def parameters(node: Documented) -> set[str] | None:
    """What may be documented under ``Args:``; None where that cannot be read off this file."""
    if isinstance(node, ast.ClassDef):
        fields = {n.target.id for n in node.body if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)}
        constructors = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name in ("__init__", "__new__")]
        if not constructors:
            return fields or None
        node = constructors[0]
    if isinstance(node, ast.Module):
        return set()
    arguments = node.args
    if arguments.kwarg and "Unpack" in ast.unparse(arguments.kwarg.annotation or ast.Constant(None)):
        return None
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in named if argument}


def problems(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        text = isinstance(node, Documented) and ast.get_docstring(node)
        if not text:
            continue
        where = f"{getattr(node, 'name', 'module')}: "
        if role := ROLE.search(text):
            found.append(where + f"the role {role[0]} is markup of another tool")
        found += [where + f"no section is called {heading}" for heading in re.findall(NO_SECTION, text)]
        crowded = re.findall(rf"[^\n]\n({'|'.join(SECTIONS)}):\n", text)
        found += [where + f"no empty line before {heading}" for heading in crowded]
        sections = sections_of(text)
        found += [where + f"{name} is empty" for name, lines in sections.items() if not lines]
        for name in {"Args", "Attributes", "Raises"} & sections.keys():
            for entry in entries(sections[name]):
                if not NAME.fullmatch(entry):
                    found.append(where + f"{entry!r} under {name} is not one name")
        known = parameters(node)
        if known is not None:
            unknown = {entry.lstrip("*") for entry in entries(sections.get("Args", []))} - known
            found += [where + f"{name!r} is no parameter" for name in sorted(unknown)]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_docstrings_can_be_parsed(path):
    assert problems(path) == []


def test_each_problem_is_found(tmp_path):
    path = tmp_path / "part.py"
    path.write_text(
        '''
def part(a, b):
    """See :func:`other`.
    Args:
        a, b: two in one.
        c: not there.

    Examples:
        One.
    """
'''
    )
    assert problems(path) == [
        "part: the role :func:` is markup of another tool",
        "part: no section is called Examples",
        "part: no empty line before Args",
        "part: 'a, b' under Args is not one name",
        "part: 'a, b' is no parameter",
        "part: 'c' is no parameter",
    ]
