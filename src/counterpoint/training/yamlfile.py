"""Reads YAML files of configurations and recipes so that a mistake is told in one line: file, line, what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterpoint.errors import ConfigError


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
