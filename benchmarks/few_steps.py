"""Are lagging batch statistics why networks of few steps are evaluated at chance? The table in docs/training.md.

    python benchmarks/few_steps.py                      # one step an epoch: 25 training clips in batches of 32
    python benchmarks/few_steps.py --batch 4            # seven steps an epoch

Three classes of tones and moving shapes, rendered here. One network is trained; after every fifth epoch the same
weights are evaluated with running statistics, with those of the test batches, and with statistics measured anew over
the training batches. No epoch is chosen: every one is shown.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from counterpoint.media.encode import write_clip
from counterpoint.training.build import build
from counterpoint.training.callbacks.batch_statistics import recompute
from counterpoint.training.config import TrainConfig
from counterpoint.training.config_io import from_dict
from counterpoint.training.datamodule import ClipData
from counterpoint.training.module import CounterpointModule
from counterpoint.training.resolve import resolve

CLASSES = ("bell", "drum", "hum")
CLIPS = {"train": (9, 8, 8), "val": (4, 4, 4), "test": (8, 8, 8)}


def render(root: Path) -> None:
    """A tone of three pitches under noise, and a bar or a square that swings; beginnings, pitches and phases vary."""
    drawn, rate, fps, size = np.random.default_rng(0), 16000, 10, 40
    t, rows = np.arange(rate) / rate, ["clip,class,split"]
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for split, counts in CLIPS.items():
            for k in range(counts[label]):
                tone = np.sin(2 * np.pi * (300, 700, 1500)[label] * drawn.uniform(0.9, 1.1) * t)
                audio = 0.3 * tone * (t > drawn.uniform(0, 0.4)) + 0.1 * drawn.standard_normal(rate)
                frames = drawn.normal(60, 10, (fps, size, size, 3))
                phase = drawn.uniform(0, 6)
                for step, frame in enumerate(frames):
                    at = slice(place := int(15 + 12 * np.sin(phase + 0.8 * step)), place + 8)
                    frame[((at, slice(10, 30)), (slice(10, 30), at), (at, at))[label]] += 120
                clip = f"{name}/{split}{k}.mp4"
                picture = frames.clip(0, 255).astype(np.uint8)
                write_clip(root / clip, audio.astype(np.float32), picture, fps=fps, sample_rate=rate)
                rows.append(f"{clip},{name},{split}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")


@torch.no_grad()
def accuracy(module: CounterpointModule, data: ClipData, *, of_batches: bool = False) -> float:
    """Percent of test clips; with the statistics of the test batches themselves, which are left as they were."""
    before = {name: value.clone() for name, value in module.model.state_dict().items()}
    module.eval()
    for norm in module.modules():
        if isinstance(norm, _BatchNorm):
            norm.training = of_batches
    hits = [module(batch).logits.argmax(1) == batch["target"] for batch in data.loader("test")]
    module.model.load_state_dict(before)
    module.train()
    return 100 * float(torch.cat(hits).float().mean())


def measure(root: Path, batch: int, epochs: int, seed: int) -> list[tuple[int, float, float, float]]:
    """(epoch, with running statistics, with those of the batch, measured anew) after every fifth epoch."""
    data = {
        "name": "folder",
        "root": str(root),
        "batch_size": batch,
        "cache": str(root / "cache"),
        "media": {"fps": 25},
    }
    data["media"] = {"fps": 25}
    run = resolve(from_dict(TrainConfig, {"data": data, "epochs": epochs, "seed": seed, "accelerator": "cpu"}))
    torch.manual_seed(seed)
    parts, clips = build(run), run.decode()
    steps = epochs * -(-len(clips.clips.clips("train")) // batch)
    module = CounterpointModule(parts.model, parts.transforms, optim=run.config.optim, total_steps=steps, seed=seed)
    rows = []
    for epoch in range(epochs):
        module.train()
        torch.manual_seed(1000 * seed + epoch)
        clips.epoch = epoch
        batches = list(clips.loader("train", train=True))
        for each in batches:
            module.optimizer.zero_grad()
            module.objective(module(each), each["target"]).backward()
            module.optimizer.step()
            module.schedule.step()
        if (epoch + 1) % 5 == 0:
            running, own = accuracy(module, clips), accuracy(module, clips, of_batches=True)
            before = recompute(module, batches)
            rows.append((epoch + 1, running, own, accuracy(module, clips)))
            module.model.load_state_dict({**module.model.state_dict(), **before})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        render(Path(folder) / "clips")
        print("seed  epoch  running  batch  anew   (test accuracy, %)")
        for seed in asked.seeds:
            for epoch, *found in measure(Path(folder) / "clips", asked.batch, asked.epochs, seed):
                print(f"{seed:4d}  {epoch:5d}  " + "  ".join(f"{one:5.1f}" for one in found), flush=True)


if __name__ == "__main__":
    main()
