"""How much MMCosine's scale s matters around the lower bound of its Eq. (4): GRID, the letter, 5 seeds.

    python benchmarks/grid/scale.py GRID --runs runs

Writes a recipe per scale into runs/letters-scale-recipes and compares them as runs/letters-scale. Nothing is searched
and no scale is chosen: every one is trained and tested as it stands. Interrupted, it goes on where it stopped.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import yaml

from counterpoint.experiments.compare import CONFIG, compare
from counterpoint.experiments.config import CompareConfig
from counterpoint.functional import mmcosine_scale_bound
from counterpoint.training.config_io import from_dict, read_yaml

CLASSES = 25
POSTERIORS = (0.5, 0.9, 0.99, 0.999)  # of which Eq. (4) gives the scale; the last is the recipe's own
LARGER = (10.0, 20.0, 50.0)  # the released code's, twice that, and what its authors advise for FiLM and gated fusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", help="GRID's folder")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()

    recipes = options.runs / "letters-scale-recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    titles = {mmcosine_scale_bound(CLASSES, p): f"s of Eq. (4) for p = {p}" for p in POSTERIORS}
    titles |= {scale: f"s = {scale:g}" for scale in LARGER}
    methods = []
    for scale, title in titles.items():
        path = recipes / f"scale-{scale:.2f}.yaml"
        recipe = {
            "title": title,
            "references": ["MMCosine Eq. (4)"],
            "fusion": {"name": "concat"},
            "head": {"name": "cosine", "options": {"scale": scale}},
        }
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        methods.append(str(path))

    shared = from_dict(CompareConfig, read_yaml(Path(__file__).with_name("letters_mmcosine.yaml")))
    base = replace(shared.base, data=replace(shared.base.data, root=options.root))
    config = replace(shared, methods=methods, baseline=None, alone=False, search_trials=0, base=base)
    folder = options.runs / "letters-scale"
    compare(config, folder, resume=(folder / CONFIG).is_file())


if __name__ == "__main__":
    main()
