"""Configurations to plain values and back, and from YAML files; a mistake is an error of one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_type_hints

from counterpoint._limits import YAML_BYTES, YAML_VALUES, read_bytes
from counterpoint._typecheck import checked
from counterpoint.errors import ConfigError, did_you_mean, nearest, quoted

T = TypeVar("T")
_FLOAT = re.compile(r"[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$")
"""Numbers such as ``1e-3``, which YAML 1.1, and so PyYAML, takes for text."""


@lru_cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Keys stand there once, and a date is a text, as configurations have no dates."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            lines: dict[str, int] = {}
            for key in (key for key, _ in node.value if key.tag.endswith(":str")):
                if key.value in lines:
                    what = f"{quoted(key.value)} stands there a second time; it was given in line {lines[key.value]}"
                    raise yaml.MarkedYAMLError(problem=what, problem_mark=key.start_mark)
                lines[key.value] = key.start_mark.line + 1
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    times, resolvers = "tag:yaml.org,2002:timestamp", yaml.SafeLoader.yaml_implicit_resolvers
    Loader.yaml_implicit_resolvers = {first: [r for r in each if r[0] != times] for first, each in resolvers.items()}
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))
    return Loader


def read_yaml(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        ConfigError: it is not text, or not YAML, has a key twice, or holds what no configuration can.
        OSError: it cannot be read.
    """
    try:
        return parse_yaml(read_bytes(path, YAML_BYTES, ConfigError).decode(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text; is it a YAML file?") from None


def parse_yaml(text: str, source: str) -> Any:
    """What a YAML text says.

    Args:
        text: some lines of YAML.
        source: where it comes from, for messages.

    Raises:
        ConfigError: it is not YAML, or holds what no configuration can.
    """
    import yaml

    try:
        loader = _loader()(text)  # refuses control characters
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {})
        values = loader.construct_document(node)
        json.dumps(values)
        return values
    except RecursionError:
        raise ConfigError(f"{source}: values are nested too deep") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f", line {mark.line + 1}"
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be parsed"
        raise ConfigError(f"{source}{where}: this is not YAML: {what}") from None
    except (TypeError, ValueError) as error:  # of json: bytes, a key that is a list
        raise ConfigError(f"{source}: this is no configuration: {error}") from None


def _count_values(node: Any, counts: dict[int, int]) -> int:
    """How many values a node of YAML stands for, aliases written out: ten lines can mean billions."""
    if id(node) not in counts:
        counts[id(node)] = -1  # while its own are counted
        pairs = node.value if isinstance(node.value, list) else ()
        below = [child for pair in pairs for child in (pair if isinstance(pair, tuple) else (pair,))]
        counts[id(node)] = 1 + sum(_count_values(child, counts) for child in below)
    if counts[id(node)] < 0:
        raise ValueError("a value contains itself")
    if counts[id(node)] > YAML_VALUES:
        raise ValueError(f"it has more than {YAML_VALUES:,} values, aliases written out")
    return counts[id(node)]


def to_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML, in their order."""
    import yaml

    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def write_yaml(path: Path, values: Mapping[str, Any], *, checked: bool = False) -> None:
    """A YAML file of plain values, in their order; `checked`: with its digest beside it."""
    from counterpoint import _atomic

    _atomic.write_text(path, to_yaml(values), checked=checked)


def line_of(path: Path, key: str) -> int | None:
    """The line of a YAML file, from 1, on which a dotted key is; None where it is not there."""
    import yaml

    node, line = yaml.compose(read_bytes(path, YAML_BYTES, ConfigError), _loader()), None
    while key and isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if key == name.value or key.startswith(f"{name.value}."):
                key, node, line = key[len(name.value) + 1 :], value, name.start_mark.line + 1
                break
        else:
            return None
    return line


def types_of(cls: type, prefix: str = "") -> dict[str, Any]:
    """Dotted names of a config dataclass's values to their annotations."""
    hints, types = get_type_hints(cls), {}
    for f in fields(cls):
        name, hint = f"{prefix}{f.name}", hints[f.name]
        types.update(types_of(hint, f"{name}.") if is_dataclass(hint) else {name: hint})  # type: ignore[arg-type]
    return types


def defaults_of(cls: type) -> dict[str, Any]:
    """The same names to what each is where nobody says it."""
    made = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(cls)}
    return flatten(made)


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """``{"optim": {"lr": 0.001}}`` of ``{"optim.lr": 0.001}``."""
    values: dict[str, Any] = {}
    for name, value in flat.items():
        *parts, last = name.split(".")
        below = values
        for part in parts:
            below = below.setdefault(part, {})
        below[last] = value
    return values


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
    prefix = f"{where}." if where else ""
    arguments: dict[str, Any] = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where or cls.__name__} is {quoted(values)}; it must map names to values")
    for key, value in values.items():
        name, hint = f"{prefix}{key}", hints.get(key)
        if key not in known:
            raise ConfigError(f"unknown option {quoted(name)}.{nearest(name, [prefix + each for each in known])}")
        arguments[key] = from_dict(hint, value, name) if is_dataclass(hint) else checked(hint, value, name)  # type: ignore[arg-type]
    return cls(**arguments)


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
    changed: Any
    if config is None or isinstance(config, Mapping):
        below: Any = config or {}
        changed = {**below, head: _with(below.get(head), rest, value, whole) if rest else value}
    elif is_dataclass(config) and not isinstance(config, type):
        _check_field(config, head, whole)
        if rest:
            changed = replace(config, **{head: _with(getattr(config, head), rest, value, whole)})
        else:
            changed = replace(config, **{head: checked(get_type_hints(type(config))[head], value, whole)})
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
