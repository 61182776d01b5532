"""How scattered the superposition weights are, as a measure of correlation: Eq. (6) of SimAM²."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoint.errors import ConfigError
from counterpoint.functional.simam import widened


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
        r, a scalar, through which gradients flow to `zeta`; and the new record, without gradient.

    Raises:
        ConfigError: `s` or `lam` is not above 0.
    """
    if s <= 0 or lam <= 0:
        raise ConfigError(f"zeta_spread needs s > 0 and lam > 0, got s={s} and lam={lam}")
    if not isinstance(zeta, Tensor):
        zeta = torch.full((1,), float(zeta))
    elif zeta.ndim == 0:
        zeta = zeta.reshape(1)
    wide = widened(zeta)
    # The divisor cancels in the ratio; dividing by B keeps batches of one from 0/0.
    variance = wide.var(dim=0, correction=0)
    record = torch.maximum(variance.detach(), torch.as_tensor(var_max, dtype=wide.dtype, device=wide.device))
    r = torch.tanh((s * variance.sum() + lam) / (record.sum() + lam))
    return r.to(zeta.dtype), record.to(zeta.dtype)
