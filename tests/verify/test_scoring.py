from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoint.data.trials import TrialList
from counterpoint.errors import ConfigError, ShapeError
from counterpoint.fusion import FusionOutput, create_fusion
from counterpoint.heads import Cosine, Linear
from counterpoint.metrics import equal_error_rate
from counterpoint.verify import cohort_statistics, distance_scores, score_trials, scoring, trial_labels, trial_vectors

SPEAKERS, EACH, WIDTH = 5, 4, 12


def made(seed=0, trials=80):
    """Utterances around a direction per speaker, of any length, and random pairs of them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(SPEAKERS, WIDTH))
    who = np.repeat(np.arange(SPEAKERS), EACH)
    vectors = (centres[who] + 0.4 * rng.normal(size=(len(who), WIDTH))) * rng.uniform(0.1, 10, (len(who), 1))
    first, second = rng.integers(len(who), size=(2, trials))
    listed = TrialList("made", tuple(map(str, range(len(who)))), first, second, who[first] == who[second])
    return torch.from_numpy(vectors), listed, torch.from_numpy(rng.normal(size=(30, WIDTH)))


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def by_hand(vectors, trials, cohort=None, top=None):
    """Trial by trial, in float64."""
    vectors = vectors.double().numpy()
    scores = []
    for a, b in zip(vectors[trials.first], vectors[trials.second], strict=True):
        score = cosine(a, b)
        if cohort is not None:
            sides = []
            for side in (a, b):
                others = np.sort([cosine(side, c) for c in cohort.double().numpy()])[::-1][:top]
                sides.append((score - others.mean()) / np.sqrt(np.mean((others - others.mean()) ** 2)))
            score = sum(sides) / 2
        scores.append(score)
    return np.array(scores)


@pytest.mark.parametrize("block", [1, 100, 2**24])
@pytest.mark.parametrize(("normalised", "top"), [(False, None), (True, None), (True, 7)])
def test_equals_trial_by_trial(monkeypatch, block, normalised, top):
    monkeypatch.setattr(scoring, "_BLOCK", block)
    vectors, trials, cohort = made()
    options = {"cohort": cohort, "top": top} if normalised else {}
    scores = score_trials(vectors, trials, **options)
    np.testing.assert_allclose(scores.numpy(), by_hand(vectors, trials, **options), atol=1e-10)
    single = score_trials(vectors.float(), trials, **{**options, **({"cohort": cohort.float()} if normalised else {})})
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), scores.numpy(), atol=1e-4)


@pytest.mark.parametrize("block", [1, 100, 2**24])
def test_distances_trial_by_trial(monkeypatch, block):
    monkeypatch.setattr(scoring, "_BLOCK", block)
    vectors, trials, _ = made()
    before, x = vectors.clone(), vectors.numpy()
    expected = [-np.sum((x[a] - x[b]) ** 2) for a, b in zip(trials.first, trials.second, strict=True)]
    np.testing.assert_allclose(distance_scores(vectors, trials).numpy(), expected, rtol=1e-12)
    assert torch.equal(vectors, before)
    single = distance_scores(vectors.half().requires_grad_(), trials)
    assert single.dtype == torch.float32 and not single.requires_grad
    with pytest.raises(ShapeError, match="needs as many vectors"):
        distance_scores(vectors[1:], trials)


def test_distances_of_unit_vectors_have_the_order_of_cosines():
    vectors, trials, _ = made()
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    cosines, distances = score_trials(unit, trials), distance_scores(unit, trials)
    torch.testing.assert_close(distances, 2 * cosines - 2, atol=1e-12, rtol=0)


def test_trials_of_one_speaker_score_higher():
    vectors, trials, cohort = made()
    for options in ({}, {"cohort": cohort, "top": 10}):
        assert equal_error_rate(score_trials(vectors, trials, **options), trial_labels(trials)) < 0.1


def test_half_precision_is_scored_in_single():
    vectors, trials, _ = made()
    scores = score_trials(vectors.half().requires_grad_(), trials)
    assert scores.dtype == torch.float32 and not scores.requires_grad
    np.testing.assert_allclose(scores.numpy(), by_hand(vectors.half(), trials), atol=1e-5)


def test_no_intermediate_result_is_larger_than_a_block(monkeypatch):
    block = 5 * WIDTH
    monkeypatch.setattr(scoring, "_BLOCK", block)
    vectors, trials, _ = made(trials=400)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor) and out.ndim > 1 and "index" in str(function):
                largest = max(largest, out.numel())
            return out

    with Watch():
        score_trials(vectors, trials)
    assert largest == block


def test_logits_as_released_or_the_embedding():
    """MMCosine's released code compares the scaled sums of cosines of the two clips."""
    vectors, trials, _ = made()
    features = {"audio": vectors.float(), "visual": vectors.float().flip(1)}
    head = Cosine({"audio": WIDTH, "visual": WIDTH}, 6, scale=10)
    each = head(features)
    output = FusionOutput(each["audio"] + each["visual"], each, torch.cat(list(features.values()), 1))
    assert trial_vectors(output) is output.fused
    scores = score_trials(trial_vectors(output, "logits"), trials)
    weights = {m: w.detach().double().numpy() for m, w in head.weights().items()}
    x = {m: t.double().numpy() for m, t in features.items()}
    sums = np.array(
        [
            [
                10 * sum(cosine(x[m][k], w) for m, w in zip(x, ws, strict=True))
                for ws in zip(*weights.values(), strict=True)
            ]
            for k in range(len(vectors))
        ]
    )
    np.testing.assert_allclose(scores.numpy(), by_hand(torch.from_numpy(sums), trials), atol=1e-5)
    with pytest.raises(ConfigError, match="Did you mean 'logits'"):
        trial_vectors(output, "logit")


@pytest.mark.parametrize(
    ("fusion", "options"), [("concat", {}), ("concat", {"hidden": 9}), ("film", {"two_stream": True}), ("gated", {})]
)
def test_what_mmcosine_compares_does_not_hang_on_lengths_that_it_does_not_train(fusion, options):
    fusion = create_fusion(fusion, {"audio": 6, "visual": 4}, 5, head="cosine", **options).eval()
    output = fusion({"audio": torch.randn(8, 6), "visual": torch.randn(8, 4)})
    blocks = [x.detach().double() for x in output.fused.split(list(fusion.head.dims.values()), -1)]
    expected = torch.cat([x / x.norm(dim=-1, keepdim=True) for x in blocks], -1)
    torch.testing.assert_close(trial_vectors(output, head=fusion.head).double(), expected, rtol=1e-5, atol=1e-6)
    longer = replace(output, fused=torch.cat([x.float() * 10**k for k, x in enumerate(blocks)], -1))
    vectors = trial_vectors(longer, head=fusion.head)
    torch.testing.assert_close(vectors.double(), expected, rtol=1e-5, atol=1e-6)
    assert trial_vectors(output, head=Linear(fusion.head.dims, 5)) is output.fused


def test_a_sum_of_logits_is_compared_as_it_is():
    fusion = create_fusion("sum", {"audio": 6, "visual": 4}, 5, head="cosine")
    output = fusion({"audio": torch.randn(8, 6), "visual": torch.randn(8, 4)})
    assert trial_vectors(output, head=fusion.head) is output.fused


def test_refusals():
    vectors, trials, cohort = made()
    with pytest.raises(ShapeError, match=r"made has 20 utterances .* got \(19, 12\)"):
        score_trials(vectors[1:], trials)
    with pytest.raises(ShapeError, match=r"must be \(K, 12\)"):
        score_trials(vectors, trials, cohort=cohort[:, 1:])
    with pytest.raises(ShapeError, match="K of 2 or more"):
        cohort_statistics(vectors, cohort[:1])
    with pytest.raises(ConfigError, match="top=5 needs a cohort"):
        score_trials(vectors, trials, top=5)
    for top in (1, 31):
        with pytest.raises(ConfigError, match="from 2 to the 30"):
            score_trials(vectors, trials, cohort=cohort, top=top)
    for size in (2, 3, 7, 30):  # of some sizes, rounding gives the mean of equal numbers another value
        for kind in (torch.float32, torch.float64):
            with pytest.raises(ConfigError, match=f"equally like {trials.utterances[0]!r} throughout"):
                score_trials(vectors.to(kind), trials, cohort=cohort[:1].to(kind).repeat(size, 1))
