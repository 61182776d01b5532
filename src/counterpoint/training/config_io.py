"""Configurations to plain values and back, and from YAML files; a mistake is told in one line."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from counterpoint.errors import ConfigError
from counterpoint.registry import did_you_mean

T = TypeVar("T")


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: it is not text, or not YAML.
        OSError: it cannot be read.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text; is it a YAML file?") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        raise ConfigError(f"{path}{where}: this is not YAML: {what}") from None


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """A config dataclass from nested mappings, as they come from YAML.

    Args:
        cls: `TrainConfig` or one of its parts.
        values: field -> value; absent fields keep their defaults.
        where: dotted name of the part, for messages.

    Raises:
        ConfigError: an unknown key (the message proposes the nearest), or a value of another type than the field's.
    """
    hints = get_type_hints(cls)
    known = [f.name for f in fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or cls.__name__} is {values!r}; it must map names to values")
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if key not in known:
            raise ConfigError(f"There is no option {name!r}.{did_you_mean(str(key), known)}")
        hint = hints[key]
        if is_dataclass(hint) and isinstance(hint, type):
            arguments[key] = from_dict(hint, value, name)
        else:
            arguments[key] = _checked(hint, value, name)
    return cls(**arguments)


def _checked(hint: Any, value: Any, name: str) -> Any:
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    plain = tuple(get_origin(kind) or kind for kind in kinds)
    if float in plain and type(value) is int:
        return float(value)
    if (isinstance(value, bool) and bool not in plain) or not isinstance(value, plain):
        wanted = " or ".join("null" if kind is type(None) else kind.__name__ for kind in plain)
        raise ConfigError(f"{name} is {value!r}; it must be {wanted}")
    return dict(value) if isinstance(value, dict) else value


def flatten(config: Any, *, options: bool = False) -> dict[str, Any]:
    """Dotted names to values, e.g. ``{"optim.lr": 0.001}``.

    Args:
        config: a dataclass.
        options: go into dicts of options too, and name what is set in them; else they count as values.
    """
    flat: dict[str, Any] = {}
    values = config if isinstance(config, Mapping) else {f.name: getattr(config, f.name) for f in fields(config)}
    for name, value in values.items():
        if is_dataclass(value) or (options and isinstance(value, Mapping)):
            flat.update({f"{name}.{below}": v for below, v in flatten(value, options=options).items()})
        else:
            flat[name] = value
    return flat


def get_setting(config: Any, name: str) -> Any:
    """The value of a dotted name such as ``"optim.lr"`` in nested dataclasses and dicts; None for an absent dict entry.

    Raises:
        ConfigError: no such name; the message proposes the nearest one.
    """
    for part in name.split("."):
        if is_dataclass(config):
            _check_field(config, part, name)
            config = getattr(config, part)
        elif isinstance(config, Mapping):
            config = config.get(part)
        elif config is not None:
            raise ConfigError(f"{name!r}: there is nothing below a {type(config).__name__}")
    return config


def with_setting(config: T, name: str, value: Any) -> T:
    """A copy of nested dataclasses and dicts with one dotted name set; the original is left alone.

    Raises:
        ConfigError: no such name (the message proposes the nearest one), or a value of another type than the field's.
    """
    return _with(config, name, value, name)


def with_settings(config: T, setting: Mapping[str, Any]) -> T:
    """A copy with dotted names set, but for those that are None there and here."""
    for name, value in setting.items():
        if value is not None or get_setting(config, name) is not None:
            config = with_setting(config, name, value)
    return config


def _with(config: T, name: str, value: Any, whole: str) -> T:
    head, _, rest = name.partition(".")
    if is_dataclass(config) and not isinstance(config, type):
        _check_field(config, head, whole)
        if rest:
            changed: Any = replace(config, **{head: _with(getattr(config, head), rest, value, whole)})
        else:
            where = whole.rpartition(".")[0]
            changed = replace(config, **{head: getattr(from_dict(type(config), {head: value}, where), head)})
    elif config is None or isinstance(config, Mapping):
        below: Any = config or {}
        changed = {**below, head: _with(below.get(head), rest, value, whole) if rest else value}
    else:
        raise ConfigError(f"{whole!r}: there is nothing below a {type(config).__name__}")
    return cast(T, changed)


def _check_field(config: Any, part: str, name: str) -> None:
    known = [f.name for f in fields(config)]
    if part not in known:
        raise ConfigError(f"{type(config).__name__} has no {part!r} (in {name!r}).{did_you_mean(part, known)}")


def to_dict(config: Any) -> dict[str, Any]:
    """Nested plain dicts: what `from_dict` takes and YAML writes."""
    return asdict(config)
