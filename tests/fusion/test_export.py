import pytest
import torch

from counterpoint.fusion import create_fusion

DIMS = {"audio": 6, "visual": 6}


@pytest.mark.parametrize(
    ("name", "options"), [("sum", {}), ("concat", {}), ("film", {"two_stream": True}), ("gated", {"form": "gmu"})]
)
def test_one_export_serves_batches_of_any_size(name, options):
    fusion = create_fusion(name, DIMS, 5, attention="simam2", zeta="learned", **options).eval()
    axes = ({m: {0: torch.export.Dim("batch")} for m in DIMS},)
    exported = torch.export.export(fusion, ({m: torch.randn(4, d) for m, d in DIMS.items()},), dynamic_shapes=(axes,))
    other = {m: torch.randn(7, d) for m, d in DIMS.items()}
    torch.testing.assert_close(exported.module()(other).unimodal_logits, fusion(other).unimodal_logits)
    torch.testing.assert_close(exported.module()(other).logits, fusion(other).logits)
