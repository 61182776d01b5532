"""Arrows point down only, and the plug-in parts need only torch, numpy and safetensors."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoint

SOURCE = Path(counterpoint.__file__).parent
BASE = {"errors", "kinds", "modes", "registry", "distributed", "allocator", "cores"}
PLUG_IN = BASE | {"functional"}
MODELS = PLUG_IN | {"heads", "intermediate", "fusion", "balance", "encoders", "metrics", "localise"}
# What each room may import of the package, beside itself.
MAY_IMPORT = {
    "functional": BASE,
    "heads": PLUG_IN,
    "intermediate": PLUG_IN | {"heads"},
    "fusion": PLUG_IN | {"heads", "intermediate"},
    "losses": PLUG_IN | {"fusion"},
    "balance": PLUG_IN | {"heads", "fusion"},
    "encoders": PLUG_IN,
    "metrics": PLUG_IN,
    "localise": PLUG_IN | {"heads", "fusion"},
    "models": MODELS,
    "media": BASE,
    "data": BASE | {"media"},
    "verify": MODELS | {"media", "data"},
    "training": MODELS | {"losses", "models", "media", "data", "recipes"},
    "analysis": MODELS | {"losses", "models", "media", "data", "training", "recipes", "verify"},
    "predict": MODELS | {"models", "media", "data", "training"},
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


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_a_room_imports_only_what_lies_below_it(room):
    files = list((SOURCE / room).rglob("*.py")) or [SOURCE / f"{room}.py"]
    for path in files:
        assert imported_rooms(path) <= MAY_IMPORT[room] | {room}, path.relative_to(SOURCE)


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
    for name in (*counterpoint.__all__, "errors", "data", "media"):
        assert getattr(counterpoint, name) is not None
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = counterpoint.nothing_like_it
