"""The parser of a verb: jsonargparse's, in front of which words are sorted and held against the types of the options.

jsonargparse makes ``--help`` from docstrings and annotations, reads values, nests and merges them, and prints
configurations. What it cannot do is done before: files come first wherever they stand, ``key=value`` is
``--key=value``, lists are words, and each mistake is an error that names the option or the line of the file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser  # type: ignore[attr-defined]

from counterpoint._typecheck import in_words
from counterpoint.commands.code import HELP
from counterpoint.errors import ConfigError, quoted
from counterpoint.registry import nearest, wrong_type
from counterpoint.training.config_io import checked, from_dict, line_of, parse_yaml, read_yaml, types_of

T = TypeVar("T")
NAMED_FILES = ("recipe", "table")
"""Options that name files of the package's own; a configuration cannot have them."""


class Parser:
    """A verb's parser; every mistake is a `ConfigError` of one line.

    Args:
        verb: its name.
        description: first line of its help.

    Attributes:
        types: dotted name of each option -> its type.
        given: names that the words or their files have a value for, once they are parsed.
    """

    def __init__(self, verb: str, description: str | None) -> None:
        prog = f"counterpoint {verb}"
        self.types: dict[str, Any] = {}
        self.given: set[str] = set()
        self._required: set[str] = set()
        self._writes_file = False
        self._parser = ArgumentParser(
            prog=prog,
            usage=f"{prog} [options]",
            description=description,
            epilog=HELP,
            allow_abbrev=False,
            exit_on_error=False,
        )

    def add_argument(self, *names: str, **options: Any) -> None:
        """As jsonargparse's `add_argument`."""
        required = options.pop("required", False)
        action = self._parser.add_argument(*names, **options)
        if required or not (action.option_strings or action.nargs == "?"):
            self._required.add(action.dest)
        if options.get("action") == "store_true" or "type" in options:
            self.types[action.dest] = options.get("type", bool)

    def add_class_arguments(self, cls: type, prefix: str | None = None) -> None:
        """An option for each value of a config dataclass, with the help of its docstring."""
        self.types.update(types_of(cls, f"{prefix}." if prefix else ""))
        self._parser.add_class_arguments(cls, prefix)

    def set_defaults(self, **values: Any) -> None:
        """Other values for options that nobody gives."""
        self._parser.set_defaults(**values)

    def add_config(self) -> None:
        """``--config FILE``, repeatable; comes with ``--print_config``."""
        self.add_argument("--config", action=ActionConfigFile, help="YAML file of options; later ones win over earlier")

    def add_place(self, what: str, name: str) -> None:
        """Where the results go, and what happens if something is there; `name` says what they are called by default."""
        self.add_argument("--name", type=str, help=f"of the {what}; default: {name}")
        self.add_argument("--runs", type=str, default="runs", help="folder of all runs")
        self.add_argument("--resume", action="store_true", help=f"go on with an interrupted {what}")
        self.add_argument("--overwrite", action="store_true", help="remove what is there under this name")

    def add_output_file(self, what: str) -> None:
        """``--output FILE``; a file that cannot be written is refused when the words are parsed, before any work."""
        self.add_argument("--output", type=str, help=what)
        self._writes_file = True

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Nested plain dicts: option -> value; of recipe and table the last that is named.

        Raises:
            ConfigError: words or files that do not fit.
        """
        if "-h" in words or "--help" in words:
            self._parser.parse_args(["--help"])
        files: list[str] = []
        rest: list[str] = []
        named: dict[str, str] = {}
        self.given = set()
        for option, value in self._sorted(words):
            if option == "--config" and value is not None:
                files.append(f"--config={json.dumps(self._configuration(option, value), default=str)}")
            elif option[2:] in NAMED_FILES and option[2:] in self.types and value is not None:
                named[option[2:]] = value
                files.append(f"--config={json.dumps(_named(option[2:], value))}")
            else:
                rest.append(option if value is None else f"{option}={value}" if option else value)
        if "--print_config" not in words:
            self._require_all(rest)
        try:
            options: dict[str, Any] = self._parser.parse_args(files + rest).as_dict() | named
        except ArgumentError as error:  # what the checks have let through; its own words help nobody
            raise ConfigError("these options do not fit together; --help says what each of them must be") from error
        if self._writes_file and options["output"] is not None:
            from counterpoint.training.run_dir import require_place_for_file

            require_place_for_file(Path(options["output"]))
        return options

    def _sorted(self, words: Sequence[str]) -> Iterable[tuple[str, str | None]]:
        """Each option with its value, None for flags; a positional argument has an empty option."""
        todo = list(words)
        while todo:
            word = todo.pop(0)
            option, equals, value = word.partition("=")
            if equals and self._find(f"--{option}"):
                option = f"--{option}"
            if not option.startswith("-"):
                yield "", word
                continue
            if not (found := self._find(option)):
                raise ConfigError(f"unknown option {quoted(option)}.{self._nearest(option)}")
            dest, wanted = found
            self.given.add(dest)
            if self._is_flag(option):
                if equals and option != "--print_config":
                    raise ConfigError(f"{option} takes no value; leave {quoted('=' + value)} out")
                yield option, value if equals else None
                continue
            values = [value] if equals else []
            while not equals and todo and not self._is_option(todo[0]) and (_is_list(wanted) or not values):
                values.append(todo.pop(0))
            if not values:
                raise ConfigError(f"{option} needs a value: {in_words(wanted) if wanted else 'a YAML file'}")
            value = _as_list(option, values, wanted) if _is_list(wanted) else values[0]
            if wanted is not None:
                if wanted is Any or get_origin(wanted) in (dict, list):
                    _refuse_class_path(option, value)
                _check_text(option, value, wanted)
            elif dest != "config":  # a whole part of the configuration
                value = json.dumps(self._configuration(option, value, f"{dest}."), default=str)
            yield option, value

    def _find(self, option: str) -> tuple[str, Any] | None:
        """An option's name and type: Any for a key in a mapping, which it belongs to; None for whole configurations."""
        for action in self._parser._actions:
            if option in action.option_strings:
                return action.dest, self.types.get(action.dest)
        name = option[2:]
        while name := name.rpartition(".")[0]:
            if get_origin(self.types.get(name)) is dict:
                return name, Any
        return None

    def _is_option(self, word: str) -> bool:
        option, equals, _ = word.partition("=")
        return word.startswith("--") or bool(equals and self._find(f"--{option}"))

    def _is_flag(self, option: str) -> bool:
        flags = {name for action in self._parser._actions if action.nargs == 0 for name in action.option_strings}
        return option in flags | {"--print_config"}

    def _nearest(self, word: str, prefix: str = "--") -> str:
        """A name with the same end, else the nearest."""
        known = [prefix + name for name in self.types]
        known += [name for action in self._parser._actions for name in action.option_strings if prefix]
        last = word.removeprefix(prefix).rpartition(".")[2]
        same = [name for name in known if name.endswith(f".{word.removeprefix(prefix)}")]
        same += [name for name in known if name.removeprefix(prefix).rpartition(".")[2] == last]
        return f" Did you mean {same[0]!r}?" if same else nearest(word, known) or " --help lists all options."

    def _configuration(self, option: str, text: str, prefix: str = "") -> dict[str, Any]:
        """The values in a YAML file, or in the text itself where it is a mapping; each is checked."""
        file = None if text.lstrip().startswith("{") else Path(text)
        if file is None:
            try:
                values = parse_yaml(text, option)
            except ConfigError:
                raise ConfigError(f"{option} is {quoted(text)}; it must be a YAML file or a mapping") from None
        elif file.is_file():
            values = read_yaml(file) or {}
        else:
            if prefix and f"{prefix}name" in self.types:
                raise ConfigError(
                    f"{option} is {quoted(text)}; it must be a mapping or a YAML file. "
                    f"Did you mean {quoted(f'{option}.name={text}')}?"
                )
            near = nearest(text, [str(path) for path in file.parent.glob("*.y*ml")])
            raise ConfigError(f"{option}: there is no file {quoted(text)}.{near}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"{file or option}: a configuration maps names of options to values, as in `epochs: 20`")
        self._check(values, file, prefix)
        return dict(values)

    def _check(self, values: Mapping[Any, Any], file: Path | None, prefix: str) -> None:
        """Hold the names and values of a configuration against the options; errors name the line of its file."""
        for key, value in values.items():
            name = f"{prefix}{key}"
            try:
                if name in self.types:
                    self._check_value(name, value)
                elif not any(known.startswith(f"{name}.") for known in self.types):
                    raise ConfigError(f"unknown option {quoted(name)}.{self._nearest(name, '')}")
                elif not isinstance(value, Mapping):
                    raise ConfigError(f"{name} is {quoted(value)}; it must map names to values")
            except ConfigError as error:
                line = file and line_of(file, name)
                raise ConfigError(f"{file}, line {line}: {error}" if line else str(error)) from None
            if name not in self.types:
                self._check(value, file, f"{name}.")

    def _check_value(self, name: str, value: Any) -> None:
        if value is None and self._parser.get_default(name) is None:  # as --print_config writes it
            return
        if name in NAMED_FILES:
            raise ConfigError(f"{name} is no option of a file; give --{name} {value} on the command line")
        checked(self.types[name], value, name)
        _refuse_class_path(name, value)
        self.given.add(name)

    def _require_all(self, words: Sequence[str]) -> None:
        """Refuse too few or too many positional arguments, and required options that are missing."""
        places = [action for action in self._parser._actions if not action.option_strings]
        free = [word for word in words if not word.startswith("-")]
        self.given |= {action.dest for action in places[: len(free)]}
        if len(free) > len(places) and not any(action.nargs == "+" for action in places):
            word, equals, _ = free[len(places)].partition("=")
            if equals:
                raise ConfigError(f"unknown option {quoted(word)}.{self._nearest(f'--{word}')}")
            end = (
                f" Did you mean '--{word}'?" if self._find(f"--{word}") else " Options begin with --, or are key=value."
            )
            raise ConfigError(f"unexpected argument {quoted(word)}.{end}")
        missing = [action for action in self._parser._actions if action.dest in self._required - self.given]
        if missing:
            names = [action.option_strings[0] if action.option_strings else action.dest.upper() for action in missing]
            raise ConfigError(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing; see --help")


def config_of(cls: type[T], options: Mapping[str, Any], part: str | None = None) -> T:
    """The config dataclass that parsed options make up, by themselves or in a part of them."""
    values = options if part is None else options[part]
    return from_dict(cls, {f.name: values[f.name] for f in fields(cls)}, part or "")  # type: ignore[arg-type]


def _named(option: str, name: str) -> dict[str, Any]:
    """What a recipe changes in a configuration, spelt out whole; or the configuration of a table's comparison."""
    from counterpoint.recipes import load_recipe, load_table

    values = load_recipe(name).changes() if option == "recipe" else load_table(name).compare
    _refuse_class_path(name, values)
    return values


def _refuse_class_path(name: str, value: Any) -> None:
    """Refuse what jsonargparse would import a class for, asked or not, wherever a value may be of any type."""
    if _has_class_path(value):
        raise ConfigError(f"{name} has a 'class_path', which names no part here; name it like package.module:Class")


def _has_class_path(value: Any) -> bool:
    """Whether a mapping in it has such a key; texts are looked into as YAML, as jsonargparse does."""
    if isinstance(value, str):
        try:
            inside = parse_yaml(value, "a text")
        except ConfigError:
            return False
        return inside != value and _has_class_path(inside)
    if isinstance(value, Mapping):
        keys = (str(key).rpartition(".")[2] for key in value)
        return "class_path" in keys or any(_has_class_path(each) for each in value.values())
    return isinstance(value, (list, tuple)) and any(_has_class_path(each) for each in value)


def _is_list(wanted: Any) -> bool:
    return get_origin(wanted) is list or any(get_origin(one) is list for one in get_args(wanted))


def _as_list(option: str, values: Sequence[str], wanted: Any) -> str:
    """``a b`` and ``a,b`` as ``["a", "b"]``; what is a list already, or null, stays."""
    if len(values) == 1 and (values[0].startswith("[") or values[0] == "null"):
        return values[0]
    items = [item for value in values for item in value.split(",") if item]
    if not items:
        raise ConfigError(f"{option} needs at least one value, or leave it out")
    return json.dumps(items) if "int" not in in_words(wanted) else f"[{','.join(items)}]"


def _check_text(option: str, text: str, wanted: Any) -> None:
    """Refuse a text that jsonargparse does not read as a value of that type."""
    probe = ArgumentParser(exit_on_error=False, logger=False)
    probe.add_argument("--value", type=wanted)
    try:
        probe.parse_args([f"--value={text}"])
    except ArgumentError:
        raise wrong_type(option, text, wanted) from None
