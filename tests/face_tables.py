"""Tables of face points as OpenFace writes them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

Box = tuple[float, float, float, float]


def face_table(path: Path, boxes: Sequence[Box | None], *, fps: float = 25.0, points: int = 68, seed: int = 0) -> Path:
    """One line per frame with points in, and on the edges of, its box in pixels; None: no face was found."""
    rng = np.random.default_rng(seed)
    names = ["frame", "face_id", "timestamp", "confidence", "success", "eye_lmk_x_0", "eye_lmk_y_0"]
    names += [f"{axis}_{k}" for axis in ("x", "y", "X") for k in range(points)]
    lines = [", ".join(names)]
    for k, box in enumerate(boxes):
        left, top, right, bottom = box or (0, 0, 0, 0)
        x, y = rng.uniform(left, right, points), rng.uniform(top, bottom, points)
        corners = rng.choice(points, 2, replace=False)
        x[corners], y[corners] = (left, right), (top, bottom)
        values = [k + 1, 0, f"{k / fps:.3f}", 0.9, int(box is not None), -99, 9999, *x, *y, *rng.normal(size=points)]
        lines.append(", ".join(str(value) for value in values))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path
