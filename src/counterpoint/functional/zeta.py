"""How scattered the superposition weights are, as a measure of correlation: Eq. (6) of SimAM²."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ConfigError, ShapeError
from counterpoint.functional.precision import widened


def zeta_spread(
    zeta: Tensor | float, var_max: Tensor | float, *, s: float = 2.5, lam: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """``(r, new var_max)`` of Eq. (6) of SimAM²; r is the indirect measure of the correlation of the modalities.

    The scaling `s` multiplies the summed variances alone, as printed:
    ``tanh((s sum var + lam) / (sum var_max + lam))``.
    The record counts the batch at hand, so r lies in ``(0, tanh(max(s, 1))]``. A constant zeta never varies, and r is
    tanh(1) = 0.7616; the first batch sets the record, and r is tanh(s).

    Args:
        zeta: ``(B, ...)``, the weight of each neuron in each sample of the batch; or a number, which does not vary.
        var_max: highest variance of each neuron so far, shaped like one sample; 0 before the first batch.
        s: scaling, above 0; the paper uses "around 2.5".
        lam: regularisation, above 0.

    Returns:
        r, a scalar, through which gradients flow to `zeta`; and the new record, without gradient. A batch that is empty
        or holds a NaN gives r NaN, but leaves the record of the neurons it concerns as it was.

    Raises:
        ConfigError: `s` or `lam` is not above 0.
        ShapeError: the record is of other neurons.

    Example:
        >>> r, var_max = zeta_spread(torch.tensor([[0.2], [0.8]]), torch.zeros(1))
        >>> round(float(r), 4), var_max
        (0.9866, tensor([0.0900]))
    """
    if s <= 0 or lam <= 0:
        raise ConfigError(f"zeta_spread needs s > 0 and lam > 0, got s={s} and lam={lam}")
    constant = not isinstance(zeta, Tensor) or zeta.ndim == 0
    zeta = torch.as_tensor(zeta).reshape(1) if constant else torch.as_tensor(zeta)
    wide = widened(zeta)
    # The divisor cancels in the ratio; dividing by B keeps batches of one from 0/0.
    variance = (wide - wide.mean(0)).square().mean(0)
    highest = torch.as_tensor(var_max, dtype=wide.dtype, device=wide.device)
    if highest.ndim and highest.shape != variance.shape and not constant:
        raise ShapeError(
            f"zeta has shape {tuple(zeta.shape)}, but the record of its variances has {tuple(highest.shape)}: it needs "
            f"{tuple(variance.shape)}, one for each neuron"
        )
    record = torch.fmax(variance.detach(), highest)  # passes over NaN, which the record would keep for ever
    r = torch.tanh((s * variance.sum() + lam) / (record.sum() + lam))
    return r.to(zeta.dtype), record.to(zeta.dtype)
