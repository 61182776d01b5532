"""The lists of places in CONTRIBUTING.md are what it takes: existing parts stand where they say, and nowhere else."""

import functools
import importlib
import inspect
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from counterpoint import cli

REPOSITORY = Path(__file__).parents[1]
TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
PARTS = [  # section, registered name, class
    ("a fusion", "mcb", "MCB"),
    ("a fusion", "qmf", "QMF"),
    ("a balancer", "gradient_blending", "GradientBlending"),
    ("an encoder", "erann", "ERANN"),
    ("a localiser", "avsdn", "AVSDN"),
    ("a localiser", "cman", "CMAN"),
    ("a dataset", "ssw60", "load_ssw60"),
    ("a dataset", "ravdess", "load_ravdess"),
    ("a metric", "event_f1", "_event_f1"),
    ("a verb", "check", None),
    ("a verb", "reproduce", None),
]
ROOMS = {  # section -> room, registry, and the page that has a row for each part, if one must
    "a fusion": ("fusion", "FUSIONS", "methods.md"),
    "a balancer": ("balance", "BALANCERS", "methods.md"),
    "an encoder": ("encoders", "ENCODERS", None),
    "a localiser": ("localise", "LOCALISERS", "localise.md"),
}


def places(section):
    """(needed, further) patterns of places."""
    text = TEXT.split(f"### Add {section}\n", 1)[1].split("\n### ", 1)[0]
    needed = re.findall(r"^\d+\. `([^`]+)`: ", text, re.MULTILINE)
    further = re.search(r"^May be named in: (.*)$", text, re.MULTILINE)[1]
    return needed, re.findall(r"`([^`]+)`", further)


@functools.cache
def texts():
    """Path -> text, of all that a part could be named in."""
    files = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").glob("*.md")]
    for room, ending in (("src", "py"), ("src", "yaml"), ("tests", "py")):
        files += (REPOSITORY / room).rglob(f"*.{ending}")
    own = {Path(__file__), REPOSITORY / "CONTRIBUTING.md"}
    return {p.relative_to(REPOSITORY).as_posix(): p.read_text(encoding="utf-8") for p in files if p not in own}


def naming(*words):
    word = re.compile(rf"(?<![\w-])({'|'.join(re.escape(w) for w in words if w)})(?![\w-])")
    return {path for path, text in texts().items() if word.search(text)}


def fits(path, pattern):
    return fnmatch(path, pattern.replace("**", "*"))


@pytest.mark.parametrize(("section", "name", "part"), PARTS)
def test_a_part_stands_where_the_list_says(section, name, part):
    needed, further = places(section)
    needed = [pattern.replace("NAME", name) for pattern in needed]
    found = naming(name, part)
    for pattern in needed:
        assert any(fits(path, pattern) for path in found | {p for p in texts() if f"/{name}." in p}), pattern
    elsewhere = {path for path in found if not any(fits(path, pattern) for pattern in (*needed, *further))}
    assert not elsewhere


@pytest.mark.parametrize("section", re.findall(r"^### Add (.*)$", TEXT, re.MULTILINE))
def test_every_list_is_tested_and_every_place_is_there(section):
    assert section in {part[0] for part in PARTS}
    needed, further = places(section)
    assert needed and further
    for pattern in (*needed, *further):
        assert any(fits(path, pattern.replace("NAME", "*")) for path in {*texts(), "CHANGELOG.md"}), pattern


@pytest.mark.parametrize("section", ROOMS)
def test_every_part_of_a_room_is_public_documented_and_tested(section):
    room, registry, page = ROOMS[section]
    module = importlib.import_module(f"counterpoint.{room}")
    for name, part in getattr(module, registry).items().items():
        assert inspect.getfile(part).startswith(str(Path(module.__file__).parent))
        assert part.__name__ in module.__all__, name
        if page:
            assert f"`{name}`" in (REPOSITORY / "docs" / page).read_text(encoding="utf-8"), name
        assert any(path.startswith("tests/") for path in naming(name, part.__name__)), name


def test_a_verb_is_a_file_a_row_and_a_line_of_the_readme():
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for verb in cli.VERBS:
        assert (REPOSITORY / "src/counterpoint/commands" / f"{verb}.py").is_file()
        assert f"\n| `{verb}` | " in readme
    source = (REPOSITORY / "src/counterpoint/cli.py").read_text(encoding="utf-8")
    assert len(re.findall(r'"evaluate"', source)) == 1  # the row in VERBS; advice after Ctrl-C is for some verbs


def test_the_ways_to_rename_are_there():
    moved = importlib.import_module("counterpoint._moved")
    section = TEXT.split("## What is public", 1)[1].split("\n## ", 1)[0]
    for way in re.findall(r"(former_\w+)\(", section):
        assert callable(getattr(moved, way))
    assert "`MOVED`" in section and moved.MOVED


def test_one_version_stands_everywhere():
    version = importlib.import_module("counterpoint").__version__
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    changes = re.findall(r"^## \[(\d[^]]*)\]", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation["version"] == version.partition(".dev")[0] == changes[0]
    assert [paper["abbreviation"] for paper in citation["references"]] == ["SimAM²", "CFN-SR", "BMFN", "MMCosine"]
    assert all(
        person.keys() == {"given-names", "family-names"} for p in citation["references"] for person in p["authors"]
    )


def test_what_is_checked_before_a_commit_is_what_make_checks():
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for hook in hooks:
        command = hook["entry"].removesuffix(" --force-exclude").replace(".venv/bin/", "$(BIN)/")
        assert f"\t{command}" in makefile
    assert len(hooks) == 3


def test_the_changelog_has_every_former_name():
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    former = set()
    for path, text in texts().items():
        if path.startswith("src/") and not path.endswith("_moved.py"):
            former |= set(re.findall(r'former_method\("\w+", "(\w+)"', text))
            former |= {
                old for call in re.findall(r"@former_keywords\(([^)*]+)\)", text) for old in re.findall(r"(\w+)=", call)
            }
            former |= set(re.findall(r'"(\w+)": "[\w.]+:\w+"', text))
    assert {"silenced", "Place"} <= former
    assert not {name for name in former if not re.search(rf"\b{name}\b", changes)}
