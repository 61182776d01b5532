"""The user's own code on the command line: ``--import``, ``--trust-code``, names like ``package.module:Class``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from counterpoint import guests
from counterpoint.errors import ConfigError, CounterpointError
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import read_yaml

HELP = (
    "Parts of your own are named by package.module:Class. --import MODULE (or FILE.py, repeatable) imports a module "
    "first, so that its parts register. --trust-code lets runs, models and recipes name code of others."
)

_imports: list[str] = []  # by --import of this command


@contextlib.contextmanager
def code_of(words: Sequence[str]) -> Iterator[list[str]]:
    """Import what ``--import`` names, and take what the user names for trusted until the command ends.

    Args:
        words: behind the verb.

    Yields:
        The words without ``--import`` and ``--trust-code``.

    Raises:
        CounterpointError: a module is not found, or cannot be imported.
    """
    rest, trust = [], False
    todo, named = list(words), list[str]()
    while todo:
        word = todo.pop(0)
        option, equals, value = word.partition("=")
        if option == "--import":
            if not equals and (not todo or todo[0].startswith("-")):
                raise ConfigError("--import needs a value: a module, or a .py file")
            named.append(value if equals else todo.pop(0))
        elif word in ("--trust-code", "--trust_code"):
            trust = True
        else:
            rest.append(word)
    with guests.trusting(trust), guests.for_now():
        for name in named:
            guests.import_code(name)
        guests.allow(rest)
        for file in _config_files(rest):
            with contextlib.suppress(OSError, CounterpointError):  # the parser tells what is wrong with it
                guests.allow(read_yaml(file))
        _imports[:] = [str(Path(name).resolve()) if name.endswith(".py") else name for name in named]
        try:
            yield rest
        finally:
            _imports.clear()


def remembered(config: TrainConfig) -> TrainConfig:
    """The configuration with the modules of ``--import``; all that it has are imported.

    A module takes the place of one of the same name: its file may have moved.
    """
    newer = {guests.module_of(name) for name in _imports}
    config = replace(config, imports=[*(n for n in config.imports if guests.module_of(n) not in newer), *_imports])
    guests.import_all(config.imports)
    return config


def _config_files(words: Sequence[str]) -> Iterator[Path]:
    for before, word in zip(("", *words), words, strict=False):
        if before == "--config" or word.startswith("--config="):
            file = Path(word.removeprefix("--config="))
            if file.is_file():
                yield file
