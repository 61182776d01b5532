"""Mean average precision at VGGSound's size against scikit-learn's, class by class: ratio and difference.

python benchmarks/mean_average_precision.py
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from _bench import interleave, machine, report, set_allocator
from sklearn.metrics import average_precision_score

from counterpoint.metrics import mean_average_precision

SAMPLES, CLASSES = 15_000, 309


def reference(scores: torch.Tensor, target: torch.Tensor) -> float:
    values, labels = scores.numpy(), target.numpy()
    return float(np.mean([average_precision_score(labels == c, values[:, c]) for c in range(CLASSES)]))


def main() -> None:
    allocator = set_allocator()
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    logits = torch.randn(SAMPLES, CLASSES, generator=generator)
    logits[torch.arange(SAMPLES), target] += 3.0
    continuous = logits.softmax(1)
    cases = {"continuous": continuous, "ties (3 decimals)": (continuous * 1000).round() / 1000}
    differences = {
        name: abs(mean_average_precision(scores, target).item() - reference(scores, target))
        for name, scores in cases.items()
    }
    print(f"{machine()}; {allocator}")
    chance = continuous[torch.randperm(SAMPLES, generator=generator)]
    for name, scores in (("scores that know the class", continuous), ("scores at chance", chance)):
        variants = {
            "scikit-learn": partial(reference, scores, target),
            "counterpoint": partial(mean_average_precision, scores, target),
        }
        medians = interleave(variants, repeats=7, warmup=1)
        report(f"mean average precision, {SAMPLES} x {CLASSES}, {name}", medians, "scikit-learn")
    for name, difference in differences.items():
        print(f"  difference, {name}: {difference:.1e}")


if __name__ == "__main__":
    main()
