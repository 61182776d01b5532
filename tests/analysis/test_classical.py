"""What a classical method sees of clips, and which one validation chooses."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from counterpoint.analysis.classical import audio_statistics, fit_classical, visual_statistics
from counterpoint.errors import DataError
from counterpoint.media.spec import MediaSpec


def test_audio_statistics_tell_loudness_and_pitch():
    spec = MediaSpec(seconds=1.0)
    t = np.arange(spec.num_samples) / spec.sample_rate
    quiet, loud, high = (
        torch.from_numpy(np.round(a * np.sin(2 * np.pi * f * t)).astype(np.int16))
        for a, f in ((300, 200), (3000, 200), (3000, 2000))
    )
    found = audio_statistics(torch.stack([quiet, loud, high]), spec)
    assert found.shape == (3, 164)
    mean, deviation, least, greatest = found[:, 160:].T
    expected = 10 * np.log10(np.mean((np.round(3000 * np.sin(2 * np.pi * 200 * t[:400])) / 32768) ** 2))
    assert mean[1] == pytest.approx(expected, abs=0.1)
    assert mean[1] - mean[0] == pytest.approx(20, abs=0.2)
    assert deviation[1] < 0.5 and least[1] <= mean[1] <= greatest[1]
    assert (found[1, :20] - found[2, :20]).abs().max() > 1  # the spectrum, by MFCCs


def test_visual_statistics_tell_the_picture_and_that_it_moves():
    still = torch.zeros(4, 32, 32, 3, dtype=torch.uint8)
    still[:, 16:] = 255
    moving = still.clone()
    moving[2:] = 255 - moving[2:]
    found = visual_statistics(torch.stack([still, moving]))
    assert found.shape == (2, 1024)
    picture, spread, change, _ = found.unflatten(1, (4, 256)).unbind(1)
    torch.testing.assert_close(picture[0].view(16, 16)[:8], torch.zeros(8, 16))
    torch.testing.assert_close(picture[0].view(16, 16)[8:], torch.ones(8, 16))
    torch.testing.assert_close(picture[1], torch.full((256,), 0.5))
    assert not spread[0].any() and torch.allclose(spread[1], torch.tensor(0.5))
    assert not change[0].any() and torch.allclose(change[1], torch.tensor(1 / 3))
    one = visual_statistics(still[None, :1])
    assert torch.isfinite(one).all()


def blobs(n, seed, classes=3, shape="linear"):
    rng = np.random.default_rng(seed)
    target = rng.integers(classes, size=n)
    if shape == "rings":
        angle, radius = rng.uniform(0, 2 * np.pi, n), 1 + target + rng.normal(0, 0.1, n)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), target
    return np.eye(classes)[target] * 1000 + rng.normal(0, 300, (n, classes)) + 5000, target


def splits(shape="linear", classes=3):
    made = {
        split: blobs(n, k, classes, shape) for k, (split, n) in enumerate((("train", 120), ("val", 60), ("test", 90)))
    }
    return {s: x for s, (x, _) in made.items()}, {s: y for s, (_, y) in made.items()}


@pytest.mark.parametrize(("shape", "classifier"), [("linear", "logistic regression"), ("rings", "SVM")])
def test_validation_chooses(shape, classifier):
    x, y = splits(shape)
    found = fit_classical(x, y, 3)
    assert found.classifier == classifier
    assert found.val_accuracy > 0.9
    assert (found.logits["test"].argmax(1) == y["test"]).mean() > 0.9
    for split in ("val", "test"):
        np.testing.assert_allclose(np.exp(found.logits[split]).sum(1), 1)
        likelihood = found.logits[split][np.arange(len(y[split])), y[split]].mean()
        assert likelihood > np.log(1 / 3)


def test_test_clips_decide_nothing():
    x, y = splits()
    found = fit_classical(x, y, 3)
    x["test"], y["test"] = x["test"][:7] * 3, y["test"][:7]
    other = fit_classical(x, y, 3)
    assert (found.classifier, found.C, found.val_accuracy) == (other.classifier, other.C, other.val_accuracy)
    np.testing.assert_array_equal(found.logits["val"], other.logits["val"])


def test_two_classes_and_one_that_was_not_trained_on():
    x, y = splits(classes=2)
    two = fit_classical(x, y, 2)
    assert (two.logits["test"].argmax(1) == y["test"]).mean() > 0.8
    three = fit_classical(x, y, 3)
    assert np.isfinite(three.logits["test"]).all()
    np.testing.assert_allclose(log_softmax(three.logits["test"][:, :2], 1), two.logits["test"], atol=0.05)


def test_bad_input():
    x, y = splits()
    with pytest.raises(DataError, match="fewer than two classes"):
        fit_classical(x, {**y, "train": np.zeros_like(y["train"])}, 3)
    x["val"][0, 0] = np.nan
    with pytest.raises(DataError, match="of the val split are not finite"):
        fit_classical(x, y, 3)
