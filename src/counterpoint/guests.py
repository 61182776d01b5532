"""Code from outside the package: how it is named, found where it is installed, imported, and trusted.

A part of one's own is named by ``package.module:Class`` wherever a registered name is taken; `Registry.get` resolves
it. Such a name counts as the user's word in a call from Python, on the command line, and in a file given by
``--config``. In a file that came with a run, a downloaded model or a recipe it does not: `require_trust` refuses it
there, unless the user has said the same name in this process (`allow`), or that all code is trusted (`trusting`).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from counterpoint.errors import ConfigError, UnknownNameError, UntrustedCodeError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "counterpoint.parts"
"""Entry points of installed packages: ``fusion.mine = "mypkg.fusions:Mine"`` adds the fusion ``mine``."""

IMPORTS = "imports"
"""Key of a configuration: modules and files to be imported, so that their parts register."""

_WORD = r"[^\W\d]\w*"
_DOTTED = rf"{_WORD}(?:\.{_WORD})*"
_REFERENCE = re.compile(rf"{_DOTTED}:{_DOTTED}")
# In a text; both begin only where a run of such characters begins, so that a long text takes no longer than it must.
_IN_TEXT = re.compile(r"(?<![\w.])[\w.]+:[\w.]+")
# Whatever a parser between here and the registry could still make a reference of: quoted, padded, inside other text.
_SUSPECT = re.compile(r"(?<![\w.])[\d.]*([^\W\d][\w.]*)\s*:\s*([^\W\d][\w.]*)")

# Where files have prose, paths and names of classes, and nothing is ever built from.
_PLAIN_TEXT = {
    *((*base, "data", place) for base in ((), ("base",)) for place in ("root", "cache")),
    ("extra", "classes"),
    *((key,) for key in ("title", "references", "paper")),
}

_allowed: set[str] = set()  # references, and modules, that the user has named in this process
_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


def is_reference(name: object) -> bool:
    """Whether it has the form ``package.module:Class``."""
    return isinstance(name, str) and _REFERENCE.fullmatch(name) is not None


def references_in(text: str) -> list[str]:
    """Every ``package.module:Class`` in a text, e.g. of the command line."""
    return [found for found in _IN_TEXT.findall(text) if is_reference(found)]


def import_code(name: str) -> ModuleType:
    """Import a module that the user has named, and take its parts for named too.

    Args:
        name: dotted, ``mypkg.fusions``; or the path of a ``.py`` file, which becomes the module of its stem.

    Raises:
        UnknownNameError: there is no such module or file.
        ConfigError: it cannot be imported, is a mere folder, or a file is called as another module is.
    """
    module = _import_file(Path(name).expanduser()) if name.endswith(".py") else import_module(name)
    if module.__spec__ is not None and module.__spec__.origin is None:  # Python takes any folder for a package
        raise ConfigError(f"{name} is a folder without __init__.py, so nothing is imported; name a module in it")
    _allowed.add(module.__name__)
    return module


def import_all(names: Iterable[str]) -> None:
    """Import what a configuration names, but for modules that are there by the user's word: a file may have moved."""
    for name in names:
        if module_of(name) not in _allowed & sys.modules.keys():
            import_code(name)


def import_module(name: str) -> ModuleType:
    """Import a module by its dotted name; see `import_code`."""
    with _errors_of(name):
        return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    name, place = path.stem, str(path.resolve())
    if not path.is_file():
        raise UnknownNameError(f"There is no file {path} to import")
    if not name.isidentifier():
        raise ConfigError(f"{path} cannot be imported: {name!r} is no name of a module; rename the file")
    with _errors_of(name):
        known = sys.modules[name].__spec__ if name in sys.modules else importlib.util.find_spec(name)
        if known is not None and known.origin != place:
            raise ConfigError(f"{path} cannot be imported: {name} is a module already ({known.origin}); rename it")
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, place)
            assert spec is not None and spec.loader is not None
            sys.modules[name] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(sys.modules[name])
            except BaseException:
                del sys.modules[name]
                raise
        return sys.modules[name]


@contextlib.contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Whatever goes wrong while a module is imported, as an error that names it."""
    try:
        yield
    except ConfigError:
        raise
    except (Exception, SystemExit) as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise UnknownNameError(
                f"There is no module {missing!r} (asked for as {name}). Install it, put its folder on PYTHONPATH, or "
                "import its file by --import FILE"
            ) from error
        at = [f for f in traceback.extract_tb(error.__traceback__) if f.filename[0] != "<"][-1]  # not in importlib
        where = "" if at.filename == __file__ else f" ({at.filename}, line {at.lineno})"
        raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {error}{where}") from error


@functools.cache
def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points  # takes time, and few need it

    return tuple(entry_points(group=GROUP))


def installed(prefix: str) -> dict[str, EntryPoint]:
    """Parts that installed packages add: name without the prefix -> entry point.

    Args:
        prefix: which parts, ``"fusion"`` of ``fusion.mine``.

    Raises:
        ConfigError: two packages add different parts of one name.
    """
    found: dict[str, EntryPoint] = {}
    for point in _entry_points():
        which, _, name = point.name.partition(".")
        if which == prefix and name:
            other = found.setdefault(name, point)
            if other.value != point.value:
                raise ConfigError(f"two installed packages add {point.name!r}: {other.value} and {point.value}")
    return found


@contextlib.contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """A context in which files of runs, models and recipes may name code, which is imported then.

    Args:
        trust: False changes nothing.
    """
    token = _trusted.set(trust or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


@contextlib.contextmanager
def for_now() -> Iterator[None]:
    """A context at whose end everything that was allowed in it is forgotten."""
    before = set(_allowed)
    try:
        yield
    finally:
        _allowed.clear()
        _allowed.update(before)


def allow(values: Any) -> None:
    """Take every name in `values`, which the user has given, for the user's word, for as long as this process runs.

    Args:
        values: a text, or nested mappings and lists.
    """
    for path, text in _texts(values):
        _allowed.update([module_of(text)] if IMPORTS in path else references_in(text))


def require_trust(file: str | Path, values: Any) -> None:
    """Refuse code that a file names, but the user has not.

    Every text in it is searched, also where nothing would be imported for it today.

    Args:
        file: where the values come from, for the message.
        values: its content.

    Raises:
        UntrustedCodeError: says which modules, and how they are trusted.
    """
    if _trusted.get():
        return
    found = {}
    for path, text in _texts(values):
        if any(path[:length] in _PLAIN_TEXT for length in range(len(path) + 1)):
            continue
        named = [(text, module_of(text))] if IMPORTS in path else []
        named += [(f"{module}:{part}", module) for module, part in _SUSPECT.findall(text)]
        found.update({name: module for name, module in named if not {name, module} & _allowed})
    if found:
        raise UntrustedCodeError(
            f"{file} names code that is not part of counterpoint ({_few(found)}), and importing a module runs it: "
            f"{_few(found.values())}. If you trust it, add --trust-code (in Python trust_code=True), or name it "
            "yourself (--import)"
        )


def _few(names: Iterable[str], most: int = 5) -> str:
    """The first of them, each once, and how many more there are."""
    each = list(dict.fromkeys(names))
    more = f" and {len(each) - most} more" if len(each) > most else ""
    return ", ".join(name[:200] for name in each[:most]) + more


def _texts(values: Any, path: tuple[str, ...] = ()) -> Iterable[tuple[tuple[str, ...], str]]:
    """Every text in nested values, keys too, with the keys that lead there."""
    if isinstance(values, str):
        yield path, values
    elif isinstance(values, Mapping):
        for key, value in values.items():
            yield from _texts(key, path)
            yield from _texts(value, (*path, str(key)))
    elif isinstance(values, (list, tuple, set, frozenset)):
        for value in values:
            yield from _texts(value, path)


def module_of(name: str) -> str:
    """The module that `import_code` makes of a name."""
    return Path(name).stem if name.endswith(".py") else name
