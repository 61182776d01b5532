"""Names to classes, with an error that proposes what was probably meant."""

from __future__ import annotations

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

from counterpoint import guests
from counterpoint._typecheck import checked, fits
from counterpoint._typecheck import wrong_type as wrong_type
from counterpoint.errors import ConfigError, UnknownNameError, quoted
from counterpoint.errors import did_you_mean as did_you_mean
from counterpoint.errors import nearest as nearest

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

ROW = "__counterpoint_row__"
"""Attribute of a function that a decorator has registered: what the registry holds for it."""


def check_options(what: str, part: Callable[..., Any], options: Mapping[str, Any], *, given: int = 0) -> None:
    """Raise a ConfigError for an option that `part` does not take by keyword, or whose value is of another type.

    Args:
        what: whose options they are, for the message: ``"Fusion 'sum'"``.
        part: a class or function; one with ``**kwargs`` takes everything. Values are held against its annotations.
        options: name to value.
        given: how many arguments come before them by position, and so cannot be options as well.
    """
    parameters = parameters_of(part)[given:]
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = {p.name: p.annotation for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    for option, value in options.items():
        if option not in known:
            raise ConfigError(f"{what} has no option {quoted(option)}.{did_you_mean(option, known)}")
        checked(known[option], value, f"{what}: {option}")


def parameters_of(part: Callable[..., Any]) -> list[inspect.Parameter]:
    """What `part` takes; the options that ``**options: Unpack[SomeTypedDict]`` stands for come one by one."""
    try:
        signature = inspect.signature(part, eval_str=True)
    except NameError:  # annotated with what only type checkers import
        signature = inspect.signature(part)
    found: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        declared = get_args(parameter.annotation)[:1] if parameter.kind is parameter.VAR_KEYWORD else ()
        if declared and is_typeddict(declared[0]):
            options = get_type_hints(declared[0]).items()
            found += [inspect.Parameter(name, parameter.KEYWORD_ONLY, annotation=hint) for name, hint in options]
        else:
            found.append(parameter)
    return found


def check_choices(function: F) -> F:
    """Decorator: raise a ConfigError for an option, given by name, that its ``Literal`` annotation does not list."""
    restricted = {}
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = parameter.annotation
        try:
            annotation = eval(annotation, function.__globals__) if isinstance(annotation, str) else annotation
        except NameError:  # what only type checkers import, and what is defined further down, lists nothing
            continue
        literals = [one for one in (annotation, *get_args(annotation)) if get_origin(one) is Literal]
        if literals:
            restricted[name] = annotation, [value for one in literals for value in get_args(one)]
    if not restricted:
        return function

    @functools.wraps(function)
    def checking(*args: Any, **options: Any) -> Any:
        for name, (annotation, listed) in restricted.items():
            if name in options and options[name] not in listed and not fits(options[name], annotation):
                raise wrong_type(name, options[name], annotation)
        return function(*args, **options)

    return checking  # type: ignore[return-value]


class Part:
    """What every part that is chosen by name derives from: `check_choices` holds for its constructor."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            setattr(cls, "__init__", check_choices(vars(cls)["__init__"]))  # noqa: B010


def check_choice(option: str, value: object, choices: Any) -> None:
    """Raise a ConfigError unless `value` is one of `choices`.

    Args:
        option: what is chosen, for the message.
        value: the choice.
        choices: the words to choose from, or the ``Literal`` type that has them.
    """
    words = list(get_args(choices) or choices)
    if value not in words:
        raise ConfigError(f"{option}={quoted(value)} is not one of {words}.{did_you_mean(value, words)}")


class Registry(Generic[T]):
    """A table of parts of one type (``"fusion"``, ``"encoder"``, ...), and the way to those that are not in it.

    Args:
        kind: what the parts are, for messages.
        classes_of: the class that every part is a subclass of.
        values_of: the class that every part is an instance of, where parts are no classes.
        key: prefix of its entry points, see `guests.GROUP`; None: `kind`, with underscores for spaces.

    Without `classes_of` and `values_of` there is no telling what a part is, and only what is registered is found.
    """

    def __init__(
        self, kind: str, *, classes_of: type | None = None, values_of: type | None = None, key: str | None = None
    ) -> None:
        self.kind = kind
        self.key = key or kind.replace(" ", "_")
        self._classes_of, self._values_of = classes_of, values_of
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

        Args:
            name: as registered, or as an installed package adds it; or ``package.module:Class``, which is imported.

        Raises:
            UnknownNameError: no such part, module or class; the message proposes the nearest name.
            ConfigError: the module cannot be imported, or has something else by that name.
        """
        if isinstance(name, str):
            if name in self._parts:
                return self._parts[name]
            if guests.is_reference(name):
                return self._guest(name)
            if (point := guests.installed(self.key).get(name)) is not None:
                return self._guest(point.value)
        raise UnknownNameError(f"No {self.kind} is called {quoted(name)}.{did_you_mean(name, self.names())}")

    def _guest(self, reference: str) -> T:
        """The part that ``package.module:Class`` names; before it is known for one it is looked at and never called."""
        if not guests.is_reference(reference) or self._classes_of is self._values_of:
            raise ConfigError(f"{reference!r} cannot name a {self.kind}; it must be like package.module:Class")
        module, _, path = reference.partition(":")
        part: Any = guests.import_module(module)
        for attribute in path.split("."):
            if not hasattr(part, attribute):
                near = nearest(attribute, [name for name in dir(part) if not name.startswith("_")])
                raise UnknownNameError(f"{reference} names no {self.kind}: there is no {attribute!r} in it.{near}")
            part = getattr(part, attribute)
        part = getattr(part, ROW, part)
        if self._classes_of is not None:
            wanted, is_one = f"a subclass of {_name(self._classes_of)}", isinstance(part, type)
            is_one = is_one and issubclass(part, self._classes_of)
        else:
            wanted, is_one = f"a {_name(self._values_of)}", isinstance(part, self._values_of or ())
        if not is_one:
            raise ConfigError(f"{reference} is no {self.kind}: it must be {wanted}, but is {_said(part)}")
        if inspect.isabstract(part):
            missing = ", ".join(sorted(part.__abstractmethods__))
            raise ConfigError(f"{reference} is no {self.kind} yet: it does not define {missing}")
        found: T = part
        return found

    def names(self, pattern: str = "*") -> list[str]:
        """Names of registered and installed parts that match a shell pattern such as ``"*simam*"``, sorted."""
        return sorted(fnmatch.filter({*self._parts, *guests.installed(self.key)}, pattern))

    def items(self) -> dict[str, T]:
        """Registered parts by name, in the order in which they were registered."""
        return dict(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        """Names of registered parts, sorted; of what is merely installed nothing may be known without importing it."""
        return iter(sorted(self._parts))


def _name(cls: type | None) -> str:
    return "" if cls is None else f"{cls.__module__}.{cls.__qualname__}"


def _said(part: object) -> str:
    return f"the class {_name(part)}" if isinstance(part, type) else f"a {type(part).__name__}"
