"""Names to classes, with an error that proposes what was probably meant."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_args

from counterpoint import _typecheck
from counterpoint.errors import ConfigError, UnknownNameError

T = TypeVar("T")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """`" Did you mean 'concat'?"` where something near enough is known, else the list of what is known."""
    known = list(known)
    return nearest(name, known) or f" Known: {', '.join(sorted(known)) or 'none'}."


def nearest(name: object, known: Iterable[str]) -> str:
    """`" Did you mean 'concat'?"` where something near enough is known, else nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_options(what: str, part: Callable[..., Any], options: Mapping[str, Any], *, given: int = 0) -> None:
    """Raise a ConfigError for an option that `part` does not take by keyword, or whose value is of another type.

    Args:
        what: whose options they are, for the message: ``"Fusion 'sum'"``.
        part: a class or function; one with ``**kwargs`` takes everything. Values are held against its annotations.
        options: name to value.
        given: how many arguments come before them by position, and so cannot be options as well.
    """
    parameters = _parameters(part)[given:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = {p.name: p.annotation for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for option, value in options.items():
        if option not in known:
            raise ConfigError(f"{what} has no option {option!r}.{did_you_mean(option, known)}")
        wanted = known[option]
        if not _typecheck.fits(value, wanted):
            near = nearest(value, _typecheck.choices(wanted))
            end = f".{near}" if near else ""
            raise ConfigError(f"{what}: {option} is {value!r}; it must be {_typecheck.in_words(wanted)}{end}")


def _parameters(part: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(part, eval_str=True).parameters.values())
    except NameError:  # annotated with what only type checkers import
        return list(inspect.signature(part).parameters.values())


def check_choice(option: str, value: object, choices: Any) -> None:
    """Raise a ConfigError unless `value` is one of `choices`.

    Args:
        option: what is chosen, for the message.
        value: the choice.
        choices: the words to choose from, or the ``Literal`` type that has them.
    """
    words = list(get_args(choices) or choices)
    if value not in words:
        raise ConfigError(f"{option}={value!r} is not one of {words}.{did_you_mean(value, words)}")


class Registry(Generic[T]):
    """A table of registered parts of one kind (``"fusion"``, ``"encoder"``, ...)."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator: make a part known as `name`."""

        def add(part: T) -> T:
            if name in self._parts:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._parts[name] = part
            return part

        return add

    def get(self, name: str) -> T:
        """The part of that name.

        Raises:
            UnknownNameError: no such part; the message proposes the nearest name.
        """
        try:
            return self._parts[name]
        except KeyError:
            message = f"No {self.kind} is called {name!r}.{did_you_mean(name, self._parts)}"
            raise UnknownNameError(message) from None

    def names(self, pattern: str = "*") -> list[str]:
        """Registered names that match a shell pattern such as ``"*simam*"``, sorted."""
        return sorted(fnmatch.filter(self._parts, pattern))

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())
