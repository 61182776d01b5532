"""Test each method with MMCosine against itself without, out of one comparison's runs, as a Markdown table.

python benchmarks/grid/pairs.py runs/letters-mmcosine
"""

import sys
from pathlib import Path

import numpy as np
from markdown import difference, read, table

from counterpoint.analysis.analyse_run import TRACE
from counterpoint.analysis.statistics import compare_paired, correct_holm
from counterpoint.analysis.traces import load_trace

PAIRS = {
    "concat": "mmcosine",
    "film-two-stream": "film-mmcosine",
    "gated-two-stream": "gated-mmcosine",
    "concat-ogm-ge": "mmcosine-ogm-ge",
    "concat-g-blending": "mmcosine-g-blending",
}


def main(folder: Path) -> None:
    methods = read(folder)["methods"]

    def correct(method: str) -> np.ndarray:
        return np.stack([load_trace(folder / run["folder"] / TRACE).correct for run in methods[method]["runs"]])

    def probe(method: str, modality: str) -> float:
        return 100 * methods[method]["modalities"][modality]["probe"]["mean"]

    tested = correct_holm({plain: compare_paired(correct(cosine), correct(plain)) for plain, cosine in PAIRS.items()})
    rows = []
    for plain, cosine in PAIRS.items():
        cells = difference({**vars(tested[plain]), "verdict": tested[plain].verdict})
        audio, visual = ([probe(method, m) for method in (plain, cosine)] for m in ("audio", "visual"))
        probes = [f"{old:.1f} → {new:.1f}" for old, new in (audio, visual)]
        gaps = [a - v for a, v in zip(audio, visual, strict=True)]
        rows.append([plain, *cells, *probes, f"{gaps[0]:.1f} → {gaps[1]:.1f}"])
    head = ["method", "accuracy with MMCosine against without", "p (Holm)", "verdict", "audio probe", "visual probe"]
    print(table([*head, "gap"], rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
