"""The parser of a verb: words and files become values, each held against the type of its option.

jsonargparse makes ``--help`` from docstrings and annotations. What is given is read here: files come first wherever
they stand, ``key=value`` is ``--key=value``, lists are words, what a file has is taken as it stands there, and each
mistake is an error that names the option, or the line of the file.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args, get_origin

from counterpoint._typecheck import checked, fits, in_words, wrong_type
from counterpoint.commands.code import HELP
from counterpoint.commands.output_files import Own, require_own
from counterpoint.errors import ConfigError, nearest, quoted
from counterpoint.training.config_io import (
    defaults_of,
    from_dict,
    line_of,
    nested,
    parse_yaml,
    read_yaml,
    to_yaml,
    types_of,
    with_setting,
)

T = TypeVar("T")
NAMED_FILES = ("recipe", "table")
"""Options that name files of the package's own; a configuration cannot have them."""
CONFIG, PRINT = "--config", "--print_config"


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
        self.types: dict[str, Any] = {}
        self.given: set[str] = set()
        self._verb, self._description = verb, description
        self._declared: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []  # for --help alone
        self._names: dict[str, str] = {}  # of options as they are written -> dotted
        self._defaults: dict[str, Any] = {}
        self._flags: set[str] = set()
        self._places: dict[str, bool] = {}  # positional argument -> whether it takes all that come
        self._required: dict[str, str] = {}  # -> as messages call it
        self._writes: Own | None = None

    def add_argument(self, *names: str, **options: Any) -> None:
        """As argparse's `add_argument`, with a `type`, or ``action="store_true"``."""
        self._declared.append(("add_argument", names, options))
        name, place, flag = names[0].lstrip("-").replace("-", "_"), names[0][0] != "-", "action" in options
        if place:
            self._places[name] = options.get("nargs") == "+"
        else:
            self._names.update(dict.fromkeys(names, name))
        if flag:
            self._flags.add(name)
        if options.get("required") or (place and options.get("nargs") != "?"):
            self._required[name] = name.upper() if place else names[0]
        if names[0] not in (CONFIG, PRINT):  # which no file can have
            self.types[name] = options.get("type", bool)
            self._defaults[name] = options.get("default", False if flag else None)

    def add_class_arguments(self, cls: type, prefix: str | None = None) -> None:
        """An option for each value of a config dataclass, with the help of its docstring."""
        self._declared.append(("add_class_arguments", (cls, prefix), {}))
        before = f"{prefix}." if prefix else ""
        types = types_of(cls, before)
        parts = {name.rpartition(".")[0] for name in types} - {""}
        self._names.update({f"--{name}": name for name in (*types, *parts)})
        self._defaults.update({f"{before}{name}": value for name, value in defaults_of(cls).items()})
        self.types.update(types)

    def set_defaults(self, **values: Any) -> None:
        """Other values for options that nobody gives."""
        self._defaults.update(values)

    def add_config(self) -> None:
        """``--config FILE``, repeatable; comes with ``--print_config``."""
        self.add_argument(CONFIG, metavar="FILE", help="YAML file of options; later ones win over earlier")
        self.add_argument("--print_config", action="store_true", help="print what all options come to, and exit")

    def add_place(self, what: str, name: str) -> None:
        """Where the results go, and what happens if something is there; `name` says what they are called by default."""
        self.add_argument("--name", type=str, help=f"of the {what}; default: {name}")
        self.add_argument("--runs", type=str, default="runs", help="folder of all runs")
        self.add_argument(
            "--resume",
            action="store_true",
            help=f"go on with an interrupted {what}, or begin it; more epochs make it longer",
        )
        self.add_argument(
            "--overwrite", action="store_true", help=f"remove the {what} of this name, its own files alone"
        )

    def add_output_file(self, what: str, own: Own) -> None:
        """``--output FILE``; one that cannot be written, or is not `own`, is refused as the words are parsed."""
        self.add_argument("--output", type=str, help=what)
        self._writes = own

    def parse(self, words: Sequence[str]) -> dict[str, Any]:
        """Nested plain dicts: option -> value; of recipe and table the last that is named.

        Raises:
            ConfigError: words or files that do not fit.
            SystemExit: help or the configuration was asked for, and is printed.
        """
        if "-h" in words or "--help" in words:
            self._print_help()
        values = copy.deepcopy(self._defaults)
        self.given = set()
        explicit: dict[str, Any] = {}
        free: list[str] = []
        for option, name, given in self._sorted(words, free):
            self.given.add(name)
            if option == CONFIG:
                values |= self._configuration(option, given[0])
            elif name in NAMED_FILES and name in self.types:
                values |= self._leaves(_changes_of(name, given[0]))
                explicit[name] = given[0]
            elif name in self._flags:
                explicit[name] = True
            elif any(known.startswith(f"{name}.") for known in self.types):
                explicit |= self._configuration(option, given[0], f"{name}.")
            else:
                explicit[name] = self._value(option, name, given)
        explicit |= self._placed(free, PRINT in words)
        for name, value in explicit.items():
            leaf = self._leaf(name)
            values[leaf] = value if name == leaf else with_setting(values[leaf], name[len(leaf) + 1 :], value)
        if values.pop(PRINT[2:], False):
            values |= {name: None for name in NAMED_FILES if name in values}  # spelt out
            print(to_yaml(nested(values)), end="")
            raise SystemExit
        if self._writes is not None and values["output"] is not None:
            from counterpoint.training.run_dir import require_place_for_file

            require_place_for_file(Path(values["output"]))
            require_own(Path(values["output"]), self._writes)
        return nested(values)

    def _print_help(self) -> NoReturn:
        from jsonargparse import ArgumentParser

        prog = f"counterpoint {self._verb}"
        parser = ArgumentParser(prog=prog, usage=f"{prog} [options]", description=self._description, epilog=HELP)
        for method, arguments, options in self._declared:
            getattr(parser, method)(*arguments, **options)
        parser.print_help()
        raise SystemExit

    def _sorted(self, words: Sequence[str], free: list[str]) -> Iterator[tuple[str, str, list[str]]]:
        """Each option with its dotted name and the words that are its value; what is positional goes to `free`."""
        todo = list(words)
        while todo:
            word = todo.pop(0)
            option, equals, value = word.partition("=")
            if equals and self._leaf(option):
                option = f"--{option}"
            if not option.startswith("-"):
                free.append(word)
                continue
            name = self._names.get(option) or option[2:]
            if not self._leaf(name) and option not in self._names:
                raise ConfigError(f"unknown option {quoted(option)}.{self._nearest(option)}")
            if name in self._flags:
                if equals:
                    raise ConfigError(f"{option} takes no value; leave {quoted('=' + value)} out")
                yield option, name, []
                continue
            wanted = self.types.get(name)
            given = [value] if equals else []
            while not equals and todo and not self._is_option(todo[0]) and (_is_list(wanted) or not given):
                given.append(todo.pop(0))
            if not given:
                raise ConfigError(f"{option} needs a value: {in_words(wanted) if wanted else 'a YAML file'}")
            yield option, name, given

    def _leaf(self, name: str) -> str:
        """The option of that dotted name, or the mapping in which it is a key; empty where there is none."""
        if name in self.types or name in self._flags:
            return name
        while name := name.rpartition(".")[0]:
            if get_origin(self.types.get(name)) is dict:
                return name
        return ""

    def _is_option(self, word: str) -> bool:
        option, equals, _ = word.partition("=")
        return word.startswith("--") or bool(equals and self._leaf(option))

    def _nearest(self, word: str, prefix: str = "--") -> str:
        """A name with the same end, else the nearest."""
        known = [prefix + name for name in self.types] + (list(self._names) if prefix else [])
        last = word.removeprefix(prefix).rpartition(".")[2]
        same = [name for name in known if name.endswith(f".{word.removeprefix(prefix)}")]
        same += [name for name in known if name.removeprefix(prefix).rpartition(".")[2] == last]
        return f" Did you mean {same[0]!r}?" if same else nearest(word, known) or " --help lists all options."

    def _value(self, option: str, name: str, given: Sequence[str]) -> Any:
        """Words as a value of the option's type."""
        wanted, text = self.types.get(name, Any), given[0]
        alone = _read(text, wanted)
        if not _is_list(wanted) or (len(given) == 1 and (text[:1] == "[" or fits(alone, wanted))):
            value = alone
        else:
            items = [item for word in given for item in word.split(",") if item]
            if not items:
                raise ConfigError(f"{option} needs at least one value, or leave it out")
            text = f"[{','.join(items)}]"
            value = [_read(item, _item_of(wanted)) for item in items]
        try:
            return checked(wanted, value, option)
        except ConfigError:
            raise wrong_type(option, text, wanted) from None

    def _configuration(self, option: str, text: str, prefix: str = "") -> dict[str, Any]:
        """The values in a YAML file, or in the text itself where it is a mapping, by dotted name; each is checked."""
        file = None if text.lstrip().startswith("{") else Path(text)
        if file is None:
            try:
                values = parse_yaml(text, option)
            except ConfigError:
                raise ConfigError(f"{option} is {quoted(text)}; it must be a YAML file or a mapping") from None
        elif file.is_file():
            values = read_yaml(file) or {}
        elif f"{prefix}name" in self.types and prefix:
            raise ConfigError(
                f"{option} is {quoted(text)}; it must be a mapping or a YAML file. "
                f"Did you mean {quoted(f'{option}.name={text}')}?"
            )
        else:
            near = nearest(text, [str(path) for path in file.parent.glob("*.y*ml")])
            raise ConfigError(f"{option}: there is no file {quoted(text)}.{near}")
        if not isinstance(values, Mapping):
            raise ConfigError(f"{file or option}: a configuration maps names of options to values, as in `epochs: 20`")
        return self._leaves(values, file, prefix)

    def _leaves(self, values: Mapping[Any, Any], file: Path | None = None, prefix: str = "") -> dict[str, Any]:
        """A configuration by dotted names, held against the options; errors name the line of its file."""
        leaves: dict[str, Any] = {}
        for key, value in values.items():
            name = f"{prefix}{key}"
            try:
                if name in self.types:
                    if name in NAMED_FILES and value is not None:
                        raise ConfigError(f"{name} is no option of a file; give --{name} {value} on the command line")
                    missing = value is None and self._defaults[name] is None  # as --print_config writes it
                    leaves[name] = None if missing else checked(self.types[name], value, name)
                    self.given |= set() if missing else {name}
                elif not any(known.startswith(f"{name}.") for known in self.types):
                    raise ConfigError(f"unknown option {quoted(name)}.{self._nearest(name, '')}")
                elif not isinstance(value, Mapping):
                    raise ConfigError(f"{name} is {quoted(value)}; it must map names to values")
            except ConfigError as error:
                line = file and line_of(file, name)
                raise ConfigError(f"{file}, line {line}: {error}" if line else str(error)) from None
            if name not in self.types:
                leaves |= self._leaves(value, file, f"{name}.")
        return leaves

    def _placed(self, free: Sequence[str], printing: bool) -> dict[str, Any]:
        """Positional arguments by name; refuses too few or too many of them, and required options that are missing."""
        places: dict[str, Any] = dict(zip(self._places, free, strict=False))
        if any(self._places.values()):
            places = {name: list(free) for name in places}
        elif len(free) > len(self._places):
            word, equals, _ = free[len(places)].partition("=")
            if equals:
                raise ConfigError(f"unknown option {quoted(word)}.{self._nearest(f'--{word}')}")
            end = f"Did you mean '--{word}'?" if self._leaf(word) else "Options begin with --, or are key=value."
            raise ConfigError(f"unexpected argument {quoted(word)}. {end}")
        self.given |= places.keys()
        missing = [said for name, said in self._required.items() if name not in self.given]
        if missing and not printing:
            raise ConfigError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; see --help")
        return places


def config_of(cls: type[T], options: Mapping[str, Any], part: str | None = None) -> T:
    """The config dataclass that parsed options make up, by themselves or in a part of them."""
    values = options if part is None else options[part]
    return from_dict(cls, {f.name: values[f.name] for f in fields(cls)}, part or "")  # type: ignore[arg-type]


def _changes_of(option: str, name: str) -> Mapping[str, Any]:
    """What a recipe changes in a configuration, spelt out whole; or the configuration of a table's comparison."""
    from counterpoint.recipes import load_recipe, load_table

    return load_recipe(name).changes() if option == "recipe" else load_table(name).compare


def _is_list(wanted: Any) -> bool:
    return _item_of(wanted) is not None


def _item_of(wanted: Any) -> Any:
    """The type of a list's items; None where no list is wanted."""
    return next((get_args(one)[0] for one in (wanted, *get_args(wanted)) if get_origin(one) is list), None)


def _read(text: str, wanted: Any) -> Any:
    """A word as YAML has it, where that is no text and what is wanted; else the word itself."""
    if not text:
        return text
    try:
        value = int(text) if text.lstrip("+-").isdecimal() else parse_yaml(text, "a word")
    except ConfigError:
        return text
    return text if isinstance(value, str) or not fits(value, wanted) else value
