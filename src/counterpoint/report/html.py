"""Pages from templates: whatever comes from outside is escaped, and nothing is loaded from outside."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint import _atomic
from counterpoint.report.plotting import INK
from counterpoint.report.table import counted

if TYPE_CHECKING:
    from jinja2 import Environment


def write_page(path: Path, template: str, **context: Any) -> Path:
    """Render a template of ``templates/`` to a file, and give the file back."""
    _atomic.write_text(path, environment().get_template(template).render(context))
    return path


@functools.cache
def environment() -> Environment:
    """Where the templates are, and what they may use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("counterpoint.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals["INK"] = INK
    made.filters |= {"counted": counted, "json": functools.partial(_atomic.to_json, indent=None)}
    return made
