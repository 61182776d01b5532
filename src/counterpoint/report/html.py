"""The pieces of a report page: everything that comes from outside is escaped, and nothing is loaded from outside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from counterpoint.report.plotting import INK
from counterpoint.report.tables import Table

_CSS = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c2024;--soft:#5c6670;--line:#d9dee3;--tint:#f4f6f8;
--good:#1a7f4b;--bad:#b3261e;--link:#1f6fb2}
@media(prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e6e9ec;--soft:#9aa5b0;--line:#333a41;--tint:#1d2226;
--good:#5cc98b;--bad:#ff8a80;--link:#7cb8ec}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 4rem;max-width:70rem;background:var(--paper);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}h2{font-size:1.25rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:0 0 .2rem;overflow-wrap:anywhere}p{max-width:48rem;margin:.5rem 0}
.soft,figcaption,caption{color:var(--soft)}a{color:var(--link)}
.lead{font-size:1.08rem}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.92rem}
caption{text-align:left;padding:.3rem 0;font-size:.9rem}
th,td{padding:.38rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
thead th{color:var(--soft);font-weight:600;vertical-align:bottom}thead th.group{text-align:center}
tbody th{font-weight:600;position:sticky;left:0;background:var(--paper)}
.text thead th{text-align:left}.text td{text-align:left;white-space:normal;overflow-wrap:anywhere;min-width:8rem}
.better{color:var(--good);font-weight:600}.worse{color:var(--bad);font-weight:600}
figure{margin:1rem 0}figcaption{font-size:.92rem;max-width:48rem}
.panels{display:grid;gap:1.2rem 1rem;margin:.8rem 0;
grid-template-columns:repeat(auto-fill,minmax(min(100%,19.5rem),1fr))}
.panels.wide{grid-template-columns:repeat(auto-fill,minmax(min(100%,27rem),1fr))}
.panels svg{width:100%;height:auto;display:block;overflow:visible}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.5rem 0;font-size:.9rem}
.legend svg{width:2rem;height:.8rem;vertical-align:middle;margin-right:.4rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;font-size:.93rem;max-width:60rem}
dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:40rem){dl{display:block}dd{margin-bottom:.5rem}th,td{padding:.35rem .5rem}}
pre,code{font:.88rem/1.45 ui-monospace,SFMono-Regular,Menlo,monospace}
pre{background:var(--tint);padding:.7rem;overflow-x:auto;border-radius:.3rem}
details{margin:.6rem 0}summary{cursor:pointer}
.warn{border-left:.25rem solid var(--bad);padding:.3rem .8rem;background:var(--tint)}
@media print{body{max-width:none}.scroll{overflow:visible}}
""".strip()


def page(title: str, body: Iterable[str]) -> str:
    """A whole HTML page around blocks made by the functions below."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_CSS}\n</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is ``""``, ``"lead"``, ``"soft"`` or ``"warn"``."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def result_table(table: Table) -> str:
    """A table with headings that screen readers connect to the cells, and the meaning of each column below it."""
    columns = table.columns
    head = []
    if any(c.group for c in columns):
        cells, i = [], 0
        while i < len(columns):
            span = 1
            while i + span < len(columns) and columns[i].group and columns[i + span].group == columns[i].group:
                span += 1
            if columns[i].group:
                cells.append(f'<th scope="colgroup" class="group" colspan="{span}">{escape(columns[i].group)}</th>')
            else:
                cells.append("<td></td>")
            i += span
        head.append(f"<tr>{''.join(cells)}</tr>")
    head.append("<tr>" + "".join(f'<th scope="col">{escape(c.heading)}</th>' for c in columns) + "</tr>")
    rows = []
    for first, *rest in table.rows:
        cells = [f'<th scope="row">{escape(first)}</th>']
        for cell in rest:
            kind = f' class="{cell}"' if cell in ("better", "worse") else ""
            cells.append(f"<td{kind}>{escape(cell)}</td>")
        rows.append(f"<tr>{''.join(cells)}</tr>")
    meanings = {c.heading: c.explanation for c in columns}
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title, quote=True)}"><table>'
        f"<caption>{escape(table.title)}</caption><thead>{''.join(head)}</thead>"
        f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>\n"
        f"<details><summary>What the columns say</summary>{definitions(meanings)}</details>"
    )


def text_table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of words, e.g. of clips and reasons."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in headings)
    body = "\n".join(
        f'<tr><th scope="row">{escape(first)}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption, quote=True)}">'
        f'<table class="text"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def definitions(items: Mapping[str, str]) -> str:
    """Names and what they mean or are."""
    return "<dl>" + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in items.items()) + "</dl>"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def folded(summary: str, *blocks: str) -> str:
    """Blocks behind a line that opens them."""
    return f"<details><summary>{escape(summary)}</summary>{''.join(blocks)}</details>"


def code(text: str) -> str:
    """Text to copy as it is."""
    return f"<pre>{escape(text)}</pre>"


def legend(entries: Iterable[tuple[str, str, str]]) -> str:
    """A legend of labels.

    Args:
        entries: label, colour, and a dash (``"-"``, ``"--"``, ``":"``, ``"-."``) or a marker (``"o"``, ``"s"``,
            ``"^"``, ``"D"``, or ``"|"`` for a dashed upright line).
    """
    marks = {
        "o": '<circle cx="16" cy="6" r="4.5"/>',
        "s": '<rect x="11.5" y="1.5" width="9" height="9"/>',
        "^": '<path d="M16 1 21.5 11H10.5z"/>',
        "D": '<path d="M16 0 22 6 16 12 10 6z"/>',
        "|": '<path d="M16 0V12" stroke-width="2" stroke-dasharray="3 2" stroke="{colour}"/>',
    }
    dashes = {"-": "", "--": "6 3", ":": "2 2", "-.": "6 2 2 2"}
    items = []
    for label, colour, mark in entries:
        shape = marks.get(mark) or (
            f'<path d="M0 6H32" stroke="{{colour}}" stroke-width="2" stroke-dasharray="{dashes[mark]}"/>'
        )
        colour = "currentColor" if colour == INK else colour
        svg = f'<svg viewBox="0 0 32 12" fill="{colour}" aria-hidden="true">{shape.format(colour=colour)}</svg>'
        items.append(f"<li>{svg}{escape(label)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def figure(title: str, caption: str, panels: Sequence[tuple[str, str]], legend: str = "", *, wide: bool = False) -> str:
    """A figure of several panels.

    Args:
        title: its heading.
        caption: what it shows and how to read it.
        panels: title and SVG of each.
        legend: made by `legend`.
        wide: panels need more room than usual.
    """
    drawn = "".join(f"<div><h3>{escape(name)}</h3>{svg}</div>" for name, svg in panels)
    kind = "panels wide" if wide else "panels"
    return (
        f"{heading(title)}<figure><figcaption>{escape(caption)}</figcaption>{legend}"
        f'<div class="{kind}">{drawn}</div></figure>'
    )
