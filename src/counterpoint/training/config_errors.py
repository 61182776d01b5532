"""Errors of parts told as errors of the configuration that they are made from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from counterpoint.errors import ConfigError


@contextlib.contextmanager
def type_errors_as_config_errors(where: str) -> Iterator[None]:
    """Parts check the range of their options and trust their types, which a configuration may have wrong.

    Args:
        where: whose options they are, for the message.

    Raises:
        ConfigError: in place of a TypeError.
    """
    try:
        yield
    except TypeError as error:
        raise ConfigError(f"An option of {where} has a value of the wrong type: {error}") from error
