"""Decoded clips to features of their segments, by encoders that are trained already."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from counterpoint.encoders import Encoder, create_encoder, fold_batch_norms
from counterpoint.errors import ConfigError, RunError
from counterpoint.extraction.weights import RANDOM, digest_of, load_weights, weight_files
from counterpoint.localise.base import VISUAL
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import TRANSFORMS, create_transform
from counterpoint.models.localisation import cut
from counterpoint.training.load import load_trained
from counterpoint.training.precision import DTYPES, channels_last, resolve_precision
from counterpoint.training.resolve import with_wants
from counterpoint.wants import hand_in, wants

_INPUTS = {"vggish": "vggish_mel", "mfcc_cnn": "mfcc"}  # what encoders of sound are fed with, others with log_mel
_FRAMES_AT_ONCE = {"cpu": 16, "cuda": 256}  # of pictures: more are no faster, and take more memory


@dataclass(frozen=True)
class Stream:
    """What turns one modality of decoded clips into features.

    Attributes:
        transform: decoded clips to what the encoder takes.
        encoder: with its weights.
        name: of the encoder and its weights, in a few words.
        setting: all that its numbers depend on, as JSON knows it.
    """

    transform: nn.Module
    encoder: Encoder
    name: str
    setting: dict[str, Any]


def make_stream(
    modality: str,
    encoder: str,
    weights: str,
    spec: MediaSpec,
    segments: int,
    *,
    options: Mapping[str, Any] | None = None,
    transform: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Stream:
    """A registered encoder with weights from a file, and a transform in front of it.

    Args:
        modality: ``"audio"`` or ``"visual"``.
        encoder: its name, e.g. ``"vgg19"``.
        weights: file with its state, ``.pth`` or ``.safetensors``; ``"random"``: none.
        spec: shape of the clips.
        segments: T, into how many equal parts clips are cut.
        options: of the encoder; what follows from the clips need not be said.
        transform: name and options; empty: ``frames``, ``vggish_mel`` for vggish, else ``log_mel``.
        seed: of random weights.

    Raises:
        CounterpointError: names, options or weights that do not fit.
    """
    usual = "frames" if modality == VISUAL else _INPUTS.get(encoder, "log_mel")
    chosen = {"name": usual, **(transform or {})}
    front = _transform(chosen, spec, segments)
    given = with_wants(encoder, options or {}, modality, chosen, spec, segments, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = create_encoder(encoder, **given)
    what = "random weights" if weights == RANDOM else " + ".join(path.name for path in weight_files(weights))
    if weights != RANDOM:
        try:
            load_weights(made, weights)
        except ConfigError as error:
            raise ConfigError(f"{modality}.weights: {weights}: {error}") from None
    setting = {"encoder": encoder, "options": given, "input": chosen, "weights": digest_of(made)}
    return Stream(front, made, f"{encoder} ({what})", setting)


@dataclass(frozen=True)
class TrainedEncoders:
    """What is taken of a trained run: its encoders, and what they were trained on.

    Attributes:
        folder: the run's.
        encoders: per modality.
        inputs: per modality name and options of its transform.
        spec: shape of the clips.
    """

    folder: Path
    encoders: Mapping[str, Encoder]
    inputs: Mapping[str, Mapping[str, Any]]
    spec: MediaSpec

    @classmethod
    def of(cls, folder: Path) -> TrainedEncoders:
        """Those of a run's folder.

        Raises:
            CounterpointError: it is not one of a finished run, or it has no encoders.
        """
        trained = load_trained(folder)
        encoders: Any = trained.model.encoders
        if not len(encoders):
            raise RunError(f"{folder} has no encoders: it was trained on features")
        return cls(folder, dict(encoders.items()), trained.inputs, trained.spec)

    def streams(self, spec: MediaSpec, segments: int) -> dict[str, Stream]:
        """Modality -> the transform that it was trained behind, and the encoder, for clips of this shape."""
        return {
            modality: Stream(
                _transform(self.inputs[modality], spec, segments),
                encoder,
                f"{type(encoder).__name__} of {self.folder.name}",
                {"run": self.folder.name, "input": dict(self.inputs[modality]), "weights": digest_of(encoder)},
            )
            for modality, encoder in self.encoders.items()
        }


class SegmentEncoder:
    """Decoded clips to features of their segments, one clip at a time, in a memory that does not grow.

    Args:
        streams: per modality.
        segments: T.
        device: where to compute.
        precision: ``auto`` (bfloat16 where the machine has it and the encoder is large enough to gain),
            ``32-true``, ``bf16-mixed``.
    """

    def __init__(self, streams: Mapping[str, Stream], segments: int, device: torch.device, precision: str) -> None:
        self.segments, self.device = segments, device
        self._parts: dict[str, tuple[nn.Module, Encoder, torch.dtype | None]] = {}
        self.precision: dict[str, str] = {}
        for modality, stream in streams.items():
            encoder = stream.encoder.eval()
            if any(isinstance(module, _BatchNorm) for module in encoder.modules()):
                encoder = fold_batch_norms(encoder)
            self.precision[modality] = resolve_precision(precision, encoder, device)
            channels_last(encoder.to(device))  # in place
            front = stream.transform.eval().to(device)
            self._parts[modality] = front, encoder, DTYPES[self.precision[modality]]

    @torch.inference_mode()
    def __call__(self, clip: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Features of one clip: audio ``(T, D)``, visual ``(T, H, W, D)``.

        Args:
            clip: modality -> what was decoded, int16 ``(samples,)`` and uint8 ``(N, H, W, C)``.

        Raises:
            ShapeError: the clip is too short for T segments, or the encoder does not take it.
        """
        features = {}
        for modality, (front, encoder, dtype) in self._parts.items():
            x = front(torch.from_numpy(clip[modality])[None].to(self.device))
            parts = _cut(modality, channels_last(x), self.segments)
            pictures = parts.shape[2] if modality == VISUAL else 1
            at_once = max(1, _FRAMES_AT_ONCE.get(self.device.type, 16) // pictures)
            with torch.autocast(self.device.type, dtype, enabled=dtype is not None):
                encode = functools.partial(_maps, encoder) if modality == VISUAL else encoder
                made = [encode(some) for some in torch.split(parts, at_once)]
            features[modality] = torch.cat(made).float().cpu().numpy()
        return features


def _maps(encoder: Encoder, parts: Tensor) -> Tensor:
    """Maps of the last stage, the mean over each segment's frames: ``(T, C, N, H, W)`` to ``(T, H, W, D)``."""
    encoder.check_input(parts)
    maps = parts
    for stage in encoder.stages().values():
        maps = stage(maps)
    if maps.ndim in (3, 5):  # time comes first
        maps = maps.float().mean(2)
    return maps.permute(0, 2, 3, 1) if maps.ndim == 4 else maps[:, None, None]


def _cut(modality: str, x: Tensor, segments: int) -> Tensor:
    return cut(x, segments, 2 if modality == VISUAL else -1)


def _transform(chosen: Mapping[str, Any], spec: MediaSpec, segments: int) -> nn.Module:
    """As asked for; one that cuts clips into segments itself cuts them into these."""
    part = TRANSFORMS.get(chosen["name"])
    options = {option: value for option, value in chosen.items() if option != "name" and option not in wants(part)}
    return create_transform(chosen["name"], spec=spec, **hand_in(part, options, segments=segments))
