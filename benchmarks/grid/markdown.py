"""Print a comparison's results.json as the Markdown tables of docs/results.md.

python benchmarks/grid/markdown.py runs/grid-digits
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from counterpoint.report.tables import p_value

Json = dict[str, Any]

HEADINGS = {"accuracy": "accuracy", "mAP": "mAP", "event_f1": "event F1", "video_accuracy": "clips"}


def estimate(value: Json | None, style: str = "{:.1f}", unit: float = 100) -> str:
    """Mean and half width as percentages, or as told."""
    if value is None or value["mean"] is None:
        return "n/a"
    half = value["half_width"]
    return style.format(unit * value["mean"]) + (" (n=1)" if half is None else f" ± {style.format(unit * half)}")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def difference(value: Json | None) -> list[str]:
    if value is None:
        return ["", "", ""]
    low, high, p = (value[name] for name in ("low_holm", "high_holm", "p_holm"))
    interval = f"{100 * value['mean']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
    return [interval, p_value(p), value["verdict"]]


def setting(value: Json) -> str:
    short = {name.rsplit(".", 1)[-1]: chosen for name, chosen in value.items()}
    return ", ".join(f"{name} {'default' if chosen is None else chosen}" for name, chosen in short.items())


def read(folder: Path) -> Json:
    found: Json = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


def main(folder: Path) -> None:
    found = read(folder)
    joint = found["methods"]
    alone = {f"{name} alone": result for name, result in found["alone"].items()}
    rows = [
        [name, *(estimate(value) for value in r["scores"].values()), *difference(r["difference"])]
        for name, r in {**joint, **alone}.items()
    ]
    columns = [HEADINGS[metric] for metric in next(iter(joint.values()))["scores"]]
    head = ["method", *columns, f"{columns[0]} against {found['baseline']}", "p (Holm)", "verdict"]
    settings = [setting(r["setting"]) for r in {**joint, **alone}.values()]
    if any(settings):  # there was a search
        head.append("chosen on validation")
        rows = [[*row, chosen] for row, chosen in zip(rows, settings, strict=True)]
    print(table(head, rows), end="\n\n")
    views = [(m, view) for m in found["modalities"] for view in ("decoupled", "ablated", "probe")]
    views = [(m, v) for m, v in views if any(r["modalities"][m][v]["mean"] is not None for r in joint.values())]
    pairs = list(dict.fromkeys(pair for r in joint.values() for pair in r.get("dependence", {})))
    head = ["method", *(f"{m}: {view}" for m, view in views), *(f"{pair}: dependence" for pair in pairs)]
    rows = [
        [
            name,
            *(estimate(r["modalities"][m][view]) for m, view in views),
            *(estimate(r["dependence"].get(pair), "{:.2f}", 1) for pair in pairs),
        ]
        for name, r in joint.items()
    ]
    print(table(head, rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
