"""Metrics of an epoch are exact: each clip once, whatever the batches and processes."""

import pytest
import torch

from counterpoint.fusion import FusionOutput
from counterpoint.metrics import accuracy, mean_average_precision
from counterpoint.training.epoch_metrics import EpochMetrics
from counterpoint.training.task import Classification
from processes import in_processes


def outputs():
    generator = torch.Generator().manual_seed(0)
    logits = {name: torch.randn(11, 3, generator=generator) for name in ("audio", "visual")}
    return logits, torch.arange(11) % 3


def scored(rows):
    logits, target = outputs()
    scores = EpochMetrics(Classification())
    for part in torch.tensor(rows).split(4):
        unimodal = {name: values[part] for name, values in logits.items()}
        joint = unimodal["audio"] + unimodal["visual"]
        scores.add(FusionOutput(joint, unimodal, joint), target[part], part)
    return scores.compute("val_", scores=True)


def true_class(logits, target):
    """Fig. 3 (b) of MMCosine, clip by clip."""
    values = [logits[clip, label].double() for clip, label in enumerate(target.tolist())]
    return float(sum(values) / len(values))


def expected():
    logits, target = outputs()
    joint = logits["audio"] + logits["visual"]
    return {
        "val_loss": float(torch.nn.functional.cross_entropy(joint, target)),
        "val_accuracy": float(accuracy(joint, target)),
        "val_mAP": float(mean_average_precision(joint.softmax(1), target)),
        "val_accuracy_audio": float(accuracy(logits["audio"], target)),
        "val_accuracy_visual": float(accuracy(logits["visual"], target)),
        "val_logit": true_class(joint, target),
        "val_logit_audio": true_class(logits["audio"], target),
        "val_logit_visual": true_class(logits["visual"], target),
    }


@pytest.mark.parametrize("rows", [list(range(11)), [*range(11), 0, 5, 5], list(range(10, -1, -1))])
def test_each_clip_counts_once(rows):
    assert scored(rows) == pytest.approx(expected(), abs=1e-6)


def share(rank, world):
    rows = [*range(11), 0]  # padded to equal shares, as a distributed run pads
    return scored(rows[rank::world])


def test_two_processes_count_the_same():
    for result in in_processes(2, share):
        assert result == pytest.approx(expected(), abs=1e-6)
