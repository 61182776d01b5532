"""Names to classes, with an error that proposes what was probably meant."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from counterpoint.errors import UnknownNameError

T = TypeVar("T")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'concat'?"` where something near enough is known, else the list of what is known."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else f" Known: {', '.join(sorted(known)) or 'none'}."


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
