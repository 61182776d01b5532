"""Features to one scale: mean and spread as NumPy has them, and where there is nothing to go by."""

import numpy as np
import pytest
import torch

from counterpoint.models import create_feature_model, create_localisation_model, from_pretrained
from counterpoint.models.feature_scaler import FeatureScaler, Moments


def fitted(rows, *, batches=3, **options):
    moments = Moments(rows.shape[-1])
    for batch in np.array_split(rows, batches):
        moments.add(torch.from_numpy(batch))
    scaler = FeatureScaler(rows.shape[-1], **options)
    scaler.fit(moments)
    return scaler


@pytest.mark.parametrize("batches", [1, 2, 7, 40])
@pytest.mark.parametrize("shape", [(40, 3), (40, 5, 3), (40, 5, 2, 2, 3)])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mean_and_spread_are_numpys_however_the_clips_come(batches, shape, offset):
    rows = (np.random.default_rng(0).normal(size=shape) * [1e-3, 1, 1e3] + offset).astype(np.float32)
    rows[3, ..., 1] = np.nan
    scaler = fitted(rows, batches=batches, impute=True)
    flat = rows.reshape(-1, 3).astype(np.float64)
    mean, spread = np.nanmean(flat, 0), np.nanstd(flat, 0)
    spread[spread <= np.finfo(np.float32).eps * np.abs(mean)] = 1  # 1e-3 beside 1e6: float32 cannot tell it
    assert np.allclose(scaler.mean, mean, rtol=1e-7) and np.allclose(scaler.spread, spread, rtol=1e-5)
    want = np.where(np.isnan(rows), 0, (rows - mean.astype(np.float32)) / spread)
    assert np.allclose(scaler(torch.from_numpy(rows)), want, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e8, 1e-30])
def test_a_constant_column_is_moved_to_zero_and_never_blown_up(value):
    rows = np.full((30, 1), value, np.float32)
    scaler = fitted(rows)
    assert scaler.spread.item() == 1 and scaler(torch.from_numpy(rows)).abs().max() <= 1e-7 * abs(value)


def test_a_column_that_all_training_clips_lack():
    scaler = fitted(np.full((4, 1), np.nan, np.float32), impute=True)
    assert scaler(torch.tensor([[float("nan")], [2.0]])).tolist() == [[0.0], [2.0]]


def test_filling_alone_leaves_the_scale():
    scaler = fitted(np.array([[1.0], [3.0], [np.nan]], np.float32), standardise=False, impute=True)
    assert scaler(torch.tensor([[float("nan")], [9.0]])).tolist() == [[2.0], [9.0]]


def vectors(**options):
    return create_feature_model({"audio": 4, "visual": 6}, num_classes=3, **options)


def segments(**options):
    return create_localisation_model("avel", num_classes=3, segments=5, dims={"visual": 6, "audio": 4}, **options)


@pytest.mark.parametrize("make", [vectors, segments])
def test_it_travels_with_the_weights_and_leaves_other_models_as_they_were(tmp_path, make):
    assert not make().scalers and not [name for name in make().state_dict() if "scal" in name]
    model = make(standardise=True, impute=True)
    shapes = {"audio": (8, 4), "visual": (8, 6)} if make is vectors else {"audio": (8, 5, 4), "visual": (8, 5, 9, 6)}
    inputs = {m: torch.randn(shape) * 7 + 3 for m, shape in shapes.items()}
    for modality, scaler in model.scalers.items():
        moments = Moments(len(scaler.mean))
        moments.add(inputs[modality])
        scaler.fit(moments)
    model.save_pretrained(tmp_path)
    back = from_pretrained(tmp_path)
    for modality, seen in back.encode(inputs).items():
        flat = seen.reshape(-1, seen.shape[-1])
        assert torch.allclose(flat.mean(0), torch.zeros(flat.shape[1]), atol=1e-5), modality
        assert torch.allclose(flat.std(0, correction=0), torch.ones(flat.shape[1]), atol=1e-5), modality
    inputs["audio"][0] = float("nan")
    out = back(inputs)
    assert (out.logits if make is vectors else out.segments()).isfinite().all()
