"""Every recipe can be built from its names, and trains; that tables run whole is in tests/analysis/test_smoke.py."""

from dataclasses import replace

import pytest
import torch

from counterpoint.media.spec import MediaSpec
from counterpoint.recipes import list_recipes, load_recipe
from counterpoint.training.config import TrainConfig
from counterpoint.training.module import CounterpointModule
from made_parts import parts_of

SPEC = MediaSpec(sample_rate=16000, seconds=1.0, fps=4, size=32, gray=True)


@pytest.mark.parametrize("name", list_recipes())
def test_a_step_of_a_small_model(name):
    torch.manual_seed(0)
    config = load_recipe(name).apply(TrainConfig(precision="32-true"))
    localise = config.task == "localise"
    if localise:
        config = replace(config, localise=replace(config.localise, segments=2))
    parts = parts_of(config, 3, SPEC)
    module = CounterpointModule(
        parts.model,
        parts.transforms,
        balancer=parts.balancer,
        loss=parts.loss,
        task=parts.task,
        optim=config.optim,
    )
    sound = torch.randint(-9999, 9999, (4, SPEC.num_samples), dtype=torch.int16)
    sight = torch.randint(0, 255, (4, SPEC.num_frames, SPEC.size, SPEC.size, 1), dtype=torch.uint8)
    clips = {m: {"audio": sound, "visual": sight}[m] for m in parts.model.modalities}
    target = torch.tensor([[0, 3], [1, 1], [3, 2], [3, 3]]) if localise else torch.tensor([0, 1, 2, 1])
    output = module(clips)
    loss = module.objective(output, target)
    loss.backward()
    assert loss.isfinite()
    for modality, encoder in parts.model.encoders.items():
        gradients = [p.grad for p in encoder.parameters() if p.grad is not None]
        assert gradients and any(g.abs().sum() > 0 for g in gradients), modality
        assert all(g.isfinite().all() for g in gradients), modality
    if parts.balancer is not None:
        parts.balancer.step(output, target)
    torch.optim.SGD(parts.model.parameters(), lr=0.1).step()
    found = module.eval()(clips)
    assert (found.segment_logits if localise else found.logits).isfinite().all()
