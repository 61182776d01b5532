"""One CREMA-D-sized item (2.5 s of sound at 16 kHz, one 480x360 picture) through the loader against librosa + PIL.

The reference does per item what OGM-GE's release does: load and resample the sound, repeat it to 3 s, short-time
Fourier transform, logarithm; open the picture, random resized crop, flip, normalise. Ours reads batches of 22050 Hz
int16 and 224x224 uint8 from memory maps, decoded once; pictures are moved and turned over at random, which is less than
a random resized crop of the original. One thread on both sides; the transforms are those that training applies.
Goals: 8 times as fast with the STFT on the host, 33 times with it on the device.
Run: ``python benchmarks/loader_item.py``
"""

from __future__ import annotations

import math
import random
import tempfile
from itertools import cycle
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from _bench import interleave, machine, report, set_allocator
from PIL import Image
from torch import Tensor

from counterpoint.media.decode import read_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform

ITEMS, BATCH = 64, 16
SPEC = MediaSpec(sample_rate=22050, seconds=3.0, fps=1 / 3, size=224, gray=False)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


def make_files(folder: Path) -> list[tuple[Path, Path]]:
    """Noise with some structure, so that the JPEG files are of photographic size."""
    rng = np.random.default_rng(0)
    files = []
    for k in range(ITEMS):
        sound = rng.standard_normal(40000) * np.hanning(40000) * 0.2
        soundfile.write(folder / f"{k}.wav", sound, 16000, subtype="PCM_16")
        smooth = Image.fromarray(rng.integers(0, 255, (45, 60, 3), np.uint8)).resize((480, 360))
        picture = np.asarray(smooth).astype(np.int16) + rng.integers(-10, 10, (360, 480, 3))
        Image.fromarray(picture.clip(0, 255).astype(np.uint8)).save(folder / f"{k}.jpg", quality=90)
        files.append((folder / f"{k}.wav", folder / f"{k}.jpg"))
    return files


def reference_item(wav: Path, jpg: Path) -> tuple[Tensor, Tensor]:
    samples, rate = librosa.load(wav, sr=22050)
    samples = np.clip(np.tile(samples, 3)[: 3 * rate], -1, 1)
    spectrogram = np.log(np.abs(librosa.stft(samples, n_fft=512, hop_length=353)) + 1e-7)
    picture = Image.open(jpg).convert("RGB")
    area = picture.width * picture.height * random.uniform(0.08, 1)
    aspect = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
    width = min(picture.width, round(math.sqrt(area * aspect)))
    height = min(picture.height, round(math.sqrt(area / aspect)))
    left, top = random.randint(0, picture.width - width), random.randint(0, picture.height - height)
    picture = picture.resize((224, 224), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    if random.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float().div_(255)
    return torch.from_numpy(spectrogram), (pixels - MEAN) / STD


def main() -> None:
    allocator = set_allocator()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = make_files(folder)
        sounds = np.lib.format.open_memmap(folder / "audio.npy", "w+", np.int16, (ITEMS, SPEC.num_samples))
        pictures = np.lib.format.open_memmap(folder / "visual.npy", "w+", np.uint8, (ITEMS, 1, 224, 224, 3))
        for k, (wav, jpg) in enumerate(files):
            sounds[k] = read_clip(wav, SPEC, modalities=("audio",)).audio
            pictures[k] = read_clip(jpg, SPEC, modalities=("visual",)).visual
        spectrogram = create_transform("log_spectrogram", spec=SPEC, preset="ogm_ge").eval()
        frames = create_transform("frames", spec=SPEC, augment=True).train()
        order = cycle(range(ITEMS))
        batches = cycle(torch.randperm(ITEMS, generator=torch.Generator().manual_seed(0)).view(-1, BATCH).numpy())

        def stored() -> tuple[Tensor, Tensor]:
            rows = next(batches)
            return torch.from_numpy(sounds[rows]), torch.from_numpy(pictures[rows])

        def on_host() -> tuple[Tensor, Tensor]:
            sound, picture = stored()
            return spectrogram(sound), frames(picture)

        def spectrum_on_device() -> tuple[Tensor, Tensor]:
            sound, picture = stored()
            return sound, frames(picture)

        reference = "librosa + PIL"
        with torch.no_grad():
            expected, _ = reference_item(*files[0])
            ours = spectrogram(torch.from_numpy(sounds[:1].copy()))[0, 0]
            assert ours.shape == expected.shape, (ours.shape, expected.shape)
            variants = {
                reference: lambda: [reference_item(*files[next(order)]) for _ in range(BATCH)],
                "memmap, all on the host": on_host,
                "memmap, STFT on the device": spectrum_on_device,
                "memmap, all on the device": stored,
            }
            medians = {name: seconds / BATCH for name, seconds in interleave(variants, repeats=25).items()}
    print(f"{machine()}; {allocator}")
    report("one item; what the device then does is not counted", medians, reference)


if __name__ == "__main__":
    main()
