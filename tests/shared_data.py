"""Where the real clips lie that are not part of the project; tests that need them skip, saying so, without."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("COUNTERPOINT_SHARED", Path(__file__).parents[2] / "shared" / "data"))
GRID = ROOT / "grid_s1"
HARD_CLIPS = ROOT / "hard_clips"
FAULTY = ROOT / "faulty_media"

needs_shared_data = pytest.mark.skipif(
    not ROOT.is_dir(), reason=f"real clips are not at {ROOT}; set COUNTERPOINT_SHARED to where they are"
)
