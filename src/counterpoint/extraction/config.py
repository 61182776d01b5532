"""What makes features: a plain dataclass, so that `--help` needs neither torch nor NumPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from counterpoint._typecheck import check_values
from counterpoint.errors import ConfigError
from counterpoint.training.config import Accelerator, Precision


@dataclass
class StreamConfig:
    """What makes the features of one modality.

    Attributes:
        encoder: registered encoder; ``none``: this modality is left out.
        weights: file with its trained weights, ``.pth`` or ``.safetensors``; ``random`` for trials. Several are
            joined, with commas between.
        options: of the encoder, e.g. ``{"postprocess": true}`` of vggish.
        input: the transform in front of it, e.g. ``{"name": "log_mel", "n_mels": 80}``; empty: what suits the encoder.
    """

    encoder: str = "none"
    weights: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)


@dataclass
class FeaturesConfig:
    """How clips become features of their segments.

    Attributes:
        segments: into how many equal parts a clip is cut; None: what suits the dataset, else one per second.
        from_run: folder of a trained run whose encoders to take, with their inputs.
        videos: folder of videos of which nothing else is known, instead of a dataset; they are cut into clips of 10 s,
            or of ``data.media``'s seconds.
        visual: encoder of the picture; its maps are kept, the mean over a segment's frames.
        audio: encoder of the sound.
        precision: ``auto`` (bfloat16 where the machine has it and the encoder is large), ``32-true``, ``bf16-mixed``.
        accelerator: ``auto`` (a GPU where there is one), ``cpu``, ``gpu``, ``cuda`` or ``mps``.
    """

    segments: int | None = field(default=None, metadata={"min": 1})
    from_run: str | None = None
    videos: str | None = None
    visual: StreamConfig = field(default_factory=lambda: StreamConfig("vgg19"))
    audio: StreamConfig = field(default_factory=lambda: StreamConfig("vggish"))
    precision: Precision = "auto"
    accelerator: Accelerator = "auto"

    @property
    def streams(self) -> dict[str, StreamConfig]:
        """Modality -> what makes its features, without those left out."""
        both = {"audio": self.audio, "visual": self.visual}
        return {modality: stream for modality, stream in both.items() if stream.encoder != "none"}

    def check(self) -> None:
        """Refuse values of another type or outside their range.

        Raises:
            ConfigError: says which value, and what it may be.
        """
        check_values(self)
        if not self.streams:
            raise ConfigError("audio.encoder and visual.encoder are both none; nothing would be left")
        if self.from_run is not None and (self.audio, self.visual) != (FeaturesConfig().audio, FeaturesConfig().visual):
            raise ConfigError("from_run takes the run's encoders; leave audio and visual at their defaults")
