from types import SimpleNamespace

import pytest
import torch

from counterpoint.models import create_feature_model
from counterpoint.verify.embeddings import encode_jointly


@pytest.mark.parametrize(("head", "lengths"), [("cosine", 2**0.5), ("linear", None)])
def test_under_mmcosine_modalities_weigh_the_same(head, lengths):
    model = create_feature_model({"audio": 6, "visual": 4}, num_classes=5, head=head).eval()
    features = {"audio": 100 * torch.randn(3, 6), "visual": torch.randn(3, 4)}
    vectors = encode_jointly(SimpleNamespace(module=SimpleNamespace(model=model)), "embedding")(features)
    assert vectors.keys() == {"audio+visual", "audio", "visual"}
    found, whole = vectors["audio+visual"], torch.cat(list(features.values()), 1)
    torch.testing.assert_close(found.norm(dim=1), torch.full((3,), lengths) if lengths else whole.norm(dim=1))
