"""Counterpoint in a training loop of one's own: three lines are its, the encoders and the loop are yours.

python examples/plain_loop.py
"""

import torch
from torch import nn
from torch.nn import functional as F

import counterpoint


def make_batch(size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two noisy views of one of six classes; sound tells more than sight."""
    target = torch.randint(6, (size,), generator=generator)
    spectrogram = torch.randn(size, 1, 16, 24, generator=generator)
    frames = torch.randn(size, 3, 16, 16, generator=generator)
    spectrogram[torch.arange(size), 0, 2 * target] += 1.0
    frames[torch.arange(size), 0, 2 * target] += 0.5
    return spectrogram, frames, target


def make_encoder(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((16, 1)),
        nn.Flatten(),
        nn.Linear(256, 32),
    )


def main(steps: int = 60) -> list[float]:
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    audio_net, visual_net = make_encoder(1), make_encoder(3)

    fusion = counterpoint.fusion.Sum({"audio": 32, "visual": 32}, num_classes=6, attention="simam2", zeta="learned")
    balance = counterpoint.balance.OGMGE({"audio": audio_net, "visual": visual_net}, alpha=0.3, ratio="zeta")

    parameters = [*audio_net.parameters(), *visual_net.parameters(), *fusion.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3)
    losses = []
    for step in range(steps):
        spectrogram, frames, target = make_batch(32, generator)
        out = fusion({"audio": audio_net(spectrogram), "visual": visual_net(frames)})
        loss = F.cross_entropy(out.logits, target)
        optimizer.zero_grad()
        loss.backward()
        told = balance.step(out, target)  # between backward() and step(): scales the encoders' gradients in place
        optimizer.step()
        losses.append(loss.item())
        if step % 20 == 19:
            ratio = told["ratio"].tolist()
            print(f"step {step + 1}: loss {loss.item():.3f}, ratio of sound to sight {ratio[0]:.2f}")
    return losses


if __name__ == "__main__":
    main()
