"""What the verbs' parsers share: short errors, files before explicit options, and recipes as files."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser, Namespace  # type: ignore[attr-defined]

from counterpoint.commands.code import HELP
from counterpoint.errors import ConfigError
from counterpoint.registry import did_you_mean
from counterpoint.training.config_io import read_yaml

PLUMBING = ("config", "recipe", "table", "name", "runs", "resume", "overwrite", "output")
"""Options that say where, and whence; all others make up the configuration."""


class Parser(ArgumentParser):
    """A verb's parser; every mistake is a `ConfigError` of one line.

    Args:
        verb: its name.
        description: first line of its help.
    """

    def __init__(self, verb: str, description: str | None) -> None:
        prog = f"counterpoint {verb}"
        self._writes_file = False
        super().__init__(prog=prog, usage=f"{prog} [options]", description=description, epilog=HELP, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise, with the nearest name where one is unknown."""
        raise ConfigError(self._explained(message)) from ex

    def _explained(self, message: str) -> str:
        known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
        if found := re.match(r"unrecognized arguments: (\S+)", message, re.IGNORECASE):
            word = found.group(1).partition("=")[0]
            if not word.startswith("-"):
                hint = f". Did you mean '--{found.group(1)}'?" if f"--{word}" in known or "." in word else ""
                return f"does not know what to do with {word!r}{hint}"
            return f"There is no option {word!r}.{_nearest(word, known)}"
        if found := re.search(r"does not accept (?:option|nested key) '([^']+)'|Option '([^']+)' is not acc", message):
            word = found.group(1) or found.group(2)
            return f"There is no option {word!r}.{_nearest(word, [name.lstrip('-') for name in known])}"
        if found := re.match(r"the following arguments are required: (.+)", message):
            called = {action.dest: action.option_strings[0] for action in self._actions if action.option_strings}
            missing = [called.get(name, name.upper()) for name in found.group(1).split(", ")]
            return f"needs {' and '.join(missing)}. --help tells what {'it is' if len(missing) == 1 else 'they are'}."
        return " ".join(message.split())

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

    def parse(self, words: list[str]) -> dict[str, Any]:
        """Nested plain dicts: option -> value."""
        parsed: Namespace = self.parse_args(words)
        values: dict[str, Any] = parsed.as_dict()
        if self._writes_file and values["output"] is not None:
            from counterpoint.training.run_dir import require_place_for_file

            require_place_for_file(Path(values["output"]))
        return values


def _nearest(word: str, known: Iterable[str]) -> str:
    """A name with the same last part, else the nearest."""
    known = list(known)
    last = word.lstrip("-").rpartition(".")[2]
    same = [name for name in known if name.lstrip("-").rpartition(".")[2] == last]
    if same:
        return f" Did you mean {same[0]!r}?"
    hint = did_you_mean(word, known)
    return " --help tells what there is." if hint.startswith(" Known") else hint


def explicit_wins(words: list[str]) -> list[str]:
    """Bring files to the front, in their order, so that explicit options win wherever they stand.

    Files are given by ``--config``, ``--recipe`` and ``--table``. A recipe becomes a configuration of its composition,
    spelt out whole, and of what it changes in the model; a table becomes the configuration of its comparison.
    """
    front: list[str] = []
    rest: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        option, equals, value = word.partition("=")
        if option in _FILES and (equals or todo):
            front += ["--config", _FILES[option](value if equals else todo.pop(0))]
        else:
            rest.append(word)
    return front + rest


def _readable(config: str) -> str:
    """A configuration as given, once its file is known to be YAML: the parser's own errors do not name the file."""
    if not config.lstrip().startswith("{") and Path(config).is_file():  # it may be JSON as well
        values = read_yaml(Path(config))
        if values is not None and not isinstance(values, Mapping):
            raise ConfigError(f"{config}: a configuration maps names of options to values, as in `epochs: 20`")
    return config


def _composition(name: str) -> str:
    from counterpoint.recipes import load_recipe

    return json.dumps(load_recipe(name).changes())


def _comparison(name: str) -> str:
    from counterpoint.recipes import load_table

    return json.dumps(load_table(name).compare)


_FILES: dict[str, Callable[[str], str]] = {"--config": _readable, "--recipe": _composition, "--table": _comparison}


_FLAGS = ("--resume", "--overwrite", "--smoke", "--print_config")  # take no value
_OVERRIDE = re.compile(r"[a-z_]+(\.\w+)*=.*", re.DOTALL)


def overrides(words: Sequence[str]) -> list[str]:
    """``task=localise`` is ``--task=localise``, unless it is the value of the option before it."""
    out: list[str] = []
    for word in words:
        free = not out or not out[-1].startswith("--") or "=" in out[-1] or out[-1] in _FLAGS
        out.append(f"--{word}" if free and _OVERRIDE.fullmatch(word) else word)
    return out


def last_value(words: Sequence[str], option: str) -> str | None:
    """What stands behind an option, as ``--option value`` or ``--option=value``; the last counts, None without one."""
    given = [b for a, b in itertools.pairwise(words) if a == option]
    given += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return given[-1] if given else None


def lists_of_words(words: list[str], options: Sequence[str]) -> list[str]:
    """``--methods a b`` and ``--methods a,b`` to ``--methods=["a","b"]``, for options that take lists.

    Raises:
        ConfigError: nothing stands behind such an option.
    """
    out: list[str] = []
    todo = list(words)
    while todo:
        word = todo.pop(0)
        if word not in options:
            out.append(word)
            continue
        values: list[str] = []
        while todo and not todo[0].startswith("--"):
            values.append(todo.pop(0))
        if len(values) == 1 and values[0].startswith("["):
            out.append(f"{word}={values[0]}")
        else:
            items = [item for value in values for item in value.split(",") if item]
            if not items:
                raise ConfigError(f"{word} names nothing; give at least one, or leave it out")
            out.append(f"{word}=[{','.join(items)}]")
    return out


def leave_out_plumbing(options: dict[str, Any]) -> dict[str, Any]:
    """The part of parsed options that makes up the verb's configuration."""
    return {name: value for name, value in options.items() if name not in PLUMBING}
