"""Arrows point down only, and the plug-in parts need only torch, numpy and safetensors."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoint

SOURCE = Path(counterpoint.__file__).parent
GROUND = {"errors", "_version", "_moved", "_typecheck", "_eval_mode", "_atomic", "_cpu", "_features"}
GROUND |= {"_limits", "_progress", "guests", "registry", "wants", "distributed", "allocator"}
GROUND |= {"_checksums", "_console", "_csv_cells", "_lock"}
PARTS = GROUND | {
    "functional",
    "heads",
    "intermediate",
    "fusion",
    "losses",
    "balance",
    "encoders",
    "metrics",
    "localise",
}
MODELS = PARTS | {"models"}
CLIPS = GROUND | {"media", "data"}
TRAINING = MODELS | CLIPS | {"training"}
ANALYSIS = TRAINING | {"recipes", "analysis", "verify", "extraction", "predict"}
EXPERIMENTS = ANALYSIS | {"report", "experiments"}
# What each room may import of the package, beside itself; a name that is missing here fails.
MAY_IMPORT = {
    "__init__": EXPERIMENTS | {"_moved"},  # for type checkers; at run time, what is asked for
    "errors": set(),
    "_version": set(),
    "_moved": set(),
    "_typecheck": {"errors"},
    "_eval_mode": set(),
    "_cpu": set(),
    "_features": {"errors", "registry", "_typecheck"},
    "_progress": {"_console", "errors"},
    "_console": {"errors"},
    "_csv_cells": set(),
    "_limits": {"errors"},
    "_atomic": {"errors", "_checksums", "_csv_cells"},
    "_checksums": {"errors"},
    "_lock": {"errors", "_atomic"},
    "allocator": {"errors"},
    "distributed": set(),
    "guests": {"errors"},
    "registry": {"errors", "_typecheck", "guests"},
    "wants": {"errors"},
    "functional": GROUND,
    "metrics": GROUND,
    "encoders": GROUND | {"functional"},
    "heads": GROUND | {"functional"},
    "intermediate": GROUND | {"functional", "heads"},
    "fusion": GROUND | {"functional", "heads", "intermediate"},
    "localise": GROUND | {"functional", "heads", "fusion"},
    "losses": GROUND | {"functional", "fusion"},
    "balance": GROUND | {"functional", "heads", "fusion"},
    "models": PARTS,
    "media": GROUND,
    "data": CLIPS,
    "training": MODELS | CLIPS,
    "recipes": TRAINING,
    "verify": TRAINING,
    "extraction": TRAINING,
    "predict": TRAINING,
    "analysis": TRAINING | {"recipes", "verify"},
    "report": TRAINING | {"recipes", "analysis", "verify"},
    "experiments": ANALYSIS | {"report"},
    "commands": EXPERIMENTS | {"commands"},
    "cli": {"_console", "errors", "registry", "commands", "_version"},
    "__main__": {"cli"},
}
PLUG_IN_ROOMS = ("functional", "heads", "intermediate", "fusion", "losses", "balance", "encoders", "models", "localise")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("counterpoint.")}
    return rooms & {p.stem for p in SOURCE.iterdir()}


def test_every_room_has_its_place():
    rooms = {p.stem for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below_it(room):
    files = list((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]
    for path in files:
        assert imported_rooms(path) <= MAY_IMPORT[room] | {room}, path.relative_to(SOURCE)


def imported_files(name: str, path: Path, files: dict[str, Path]) -> set[str]:
    """What a file imports of the package, inside functions and for type checkers too; packages do not count."""
    found = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ImportFrom) and child.module:
                whole = {f"{child.module}.{alias.name}" for alias in child.names}
                found.update(whole & files.keys() or {child.module})
            elif isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            visit(child)

    visit(ast.parse(path.read_text()))
    return {other for other in found & files.keys() if other != name and files[other].name != "__init__.py"}


def test_no_files_import_each_other_in_a_circle():
    files = {}
    for path in SOURCE.rglob("*.py"):
        parts = ("counterpoint", *path.relative_to(SOURCE).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph = {name: imported_files(name, path, files) for name, path in files.items()}
    while leaves := {name for name, imported in graph.items() if not imported & graph.keys()}:
        for name in leaves:
            del graph[name]
    assert not graph, "these import each other in a circle, or what does"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split())


def test_the_plug_in_parts_pay_for_no_media_and_no_training():
    loaded = loaded_by("import " + ", ".join(f"counterpoint.{room}" for room in PLUG_IN_ROOMS))
    assert "torch" in loaded
    assert not loaded & {
        "av",
        "lightning",
        "torchmetrics",
        "jsonargparse",
        "rich",
        "matplotlib",
        "sklearn",
        "yaml",
    }


def test_importing_the_package_and_the_command_line_costs_no_torch():
    assert "torch" not in loaded_by("import counterpoint, counterpoint.cli")


def test_every_public_name_is_there():
    for name in (*counterpoint.__all__, "errors", "data", "media", "report", "experiments", "predict", "extraction"):
        assert getattr(counterpoint, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = counterpoint.nothing_like_it
