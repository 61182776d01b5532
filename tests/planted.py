"""Modules in a working folder, named like those that a program may import, that tell when they are executed."""

from collections.abc import Callable, Iterable
from pathlib import Path

NAMES = ("av", "numpy", "queue", "torch", "sitecustomize", "counterpoint")
MORE = [
    "usercustomize",
    "json",
    "pickle",
    "struct",
    "socket",
    "random",
    "multiprocessing",
    "secrets",
    "lightning",
    "rich",
    "yaml",
    "jinja2",
    "matplotlib",
    "scipy",
    "sklearn",
    "h5py",
    "psutil",
    "timm",
    "transformers",
    "triton",
]


def plant(folder: Path, names: Iterable[str] = (*NAMES, *MORE)) -> Callable[[], list[str]]:
    """Write them; gives a function that says which were executed."""
    folder.mkdir()
    told = folder.parent / "executed"
    told.mkdir()
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(told / name)!r}, 'w')\n")
    return lambda: sorted(path.name for path in told.iterdir())
