"""Run several encoders side by side, and let parts act between their layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from counterpoint._features import check_modalities
from counterpoint._moved import former_option
from counterpoint.errors import ConfigError, ShapeError, UnknownNameError
from counterpoint.intermediate.base import Intermediate
from counterpoint.intermediate.suspend import Suspended
from counterpoint.registry import did_you_mean

FusionPoint = tuple[Mapping[str, str], Intermediate]
"""Per modality the name of a layer, and the part that acts on what these layers give."""


@runtime_checkable
class Staged(Protocol):
    """An encoder that can be run stage by stage, as all of `counterpoint.encoders` can."""

    def check_input(self, x: Tensor) -> None:
        """Refuse what it cannot read."""

    def stages(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Functions by name, in order."""

    def pool(self, maps: Tensor) -> Tensor:
        """The last stage's maps to features."""


class Interleaved(nn.Module):
    """Encoders of several modalities with parts between their layers: inputs in, features per modality out.

    ``Interleaved({"audio": a, "visual": v}, [({"audio": "conv2", "visual": "layer3"}, part)])`` runs `a` up to its
    layer ``conv2`` and `v` up to ``layer3``, gives their maps to ``part = MMTM({"audio": 32, "visual": 256})``, and
    goes on with what it returns. The encoders stay as they are: nothing of theirs is copied.

    A layer is a stage of an encoder that has stages (`Staged`), or else any of its modules, by the name that
    ``named_modules()`` has for it. Stages run as plain calls, which torch.compile and torch.export follow; an encoder
    that is stopped at a module is run in a thread of its own, `Suspended`, which they do not.

    Args:
        encoders: per modality a module ``(B, ...) -> (B, D_m)``.
        points: where something acts, in the order in which the encoders come to it: per modality a layer, for all of
            the part's modalities, and the part.

    Raises:
        UnknownNameError: a modality or layer that is not there.
        ConfigError: layers in another order than they run in, or layers for other modalities than the part's.

    Example:
        >>> from counterpoint.encoders import AudioCNN, VisualCNN
        >>> from counterpoint.intermediate import MMTM
        >>> encoders = {"audio": AudioCNN(), "visual": VisualCNN()}
        >>> part = MMTM({"audio": 16, "visual": 32})
        >>> joined = Interleaved(encoders, [({"audio": "conv2", "visual": "conv2"}, part)])
        >>> joined({"audio": torch.ones(2, 1, 40, 100), "visual": torch.ones(2, 1, 5, 32, 32)})["audio"].shape
        torch.Size([2, 256])
    """

    @former_option("places", "points")
    def __init__(self, encoders: Mapping[str, nn.Module], points: Sequence[FusionPoint]) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.parts = nn.ModuleList(part for _, part in points)
        self.route: Route = Route(encoders, points)

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Features per modality, ``(B, D_m)``, of the inputs that each encoder takes; all of the same B.

        Raises:
            UnknownNameError: a modality is missing, or was never declared.
            ShapeError: batches of different sizes, or maps that a part does not take.
        """
        return self.route.run(dict(self.encoders.items()), list(self.parts), inputs)


class Route:
    """Which encoder stops where: the names alone, checked once, so that whoever holds the modules can run them.

    Args:
        encoders: see `Interleaved`.
        points: see `Interleaved`.

    Raises:
        UnknownNameError: see `Interleaved`.
        ConfigError: see `Interleaved`.

    Example:
        >>> encoders = {"audio": nn.Linear(4, 3), "visual": nn.Linear(6, 3)}
        >>> inputs = {"audio": torch.ones(2, 4), "visual": torch.ones(2, 6)}
        >>> Route(encoders, []).run(encoders, [], inputs)["audio"].shape
        torch.Size([2, 3])
    """

    @former_option("places", "points")
    def __init__(self, encoders: Mapping[str, nn.Module], points: Sequence[FusionPoint]) -> None:
        self.layers = [dict(layers) for layers, _ in points]
        for layers, part in points:
            if set(layers) != set(part.modalities):
                raise ConfigError(
                    f"{type(part).__name__} acts between {', '.join(part.modalities)}, but layers are given for "
                    f"{', '.join(layers) or 'none'}"
                )
            for modality in layers:
                if modality not in encoders:
                    raise UnknownNameError(f"There is no encoder {modality!r}.{did_you_mean(modality, encoders)}")
        stops = {m: [layers[m] for layers in self.layers if m in layers] for m in encoders}
        self.stops = {m: names for m, names in stops.items() if names}
        self.staged = {m for m, names in self.stops.items() if _by_stages(m, encoders[m], names)}

    def run(
        self, encoders: Mapping[str, nn.Module], parts: Sequence[nn.Module], inputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Features per modality; see `Interleaved.forward`."""
        check_modalities("the encoders", inputs, encoders)
        sizes = {name: inputs[name].shape[0] for name in encoders}
        if len(set(sizes.values())) > 1:
            raise ShapeError(f"all modalities need the same number of samples, got {sizes}")
        runs: dict[str, _Stages | Suspended] = {m: _Stages(encoders[m], inputs[m]) for m in self.staged}
        if len(self.staged) == len(self.stops):
            return self._run(encoders, parts, inputs, runs)
        with ExitStack() as stack:
            for m in self.stops.keys() - self.staged:
                runs[m] = stack.enter_context(Suspended(encoders[m], self.stops[m], inputs[m]))
            return self._run(encoders, parts, inputs, runs)

    def _run(
        self,
        encoders: Mapping[str, nn.Module],
        parts: Sequence[nn.Module],
        inputs: Mapping[str, Tensor],
        runs: Mapping[str, _Stages | Suspended],
    ) -> dict[str, Tensor]:
        for layers, part in zip(self.layers, parts, strict=True):
            maps = part({m: runs[m].advance(layer) for m, layer in layers.items()})
            for m in layers:
                runs[m].maps = maps[m]
        return {m: runs[m].finish() if m in runs else encoder(inputs[m]) for m, encoder in encoders.items()}


class _Stages:
    """What `Suspended` is for any network, for one with stages."""

    def __init__(self, encoder: nn.Module, x: Tensor) -> None:
        assert isinstance(encoder, Staged)
        encoder.check_input(x)
        self.encoder, self.maps = encoder, x
        self.left = list(encoder.stages().items())
        self.at: str | None = None

    def advance(self, layer: str) -> Tensor:
        """Run until `layer` has spoken."""
        while self.at != layer:
            self.at, stage = self.left.pop(0)
            self.maps = stage(self.maps)
        return self.maps

    def finish(self) -> Tensor:
        """Run to the end; the features."""
        for _, stage in self.left:
            self.maps = stage(self.maps)
        return self.encoder.pool(self.maps)


def _by_stages(modality: str, encoder: nn.Module, names: Sequence[str]) -> bool:
    """Whether all names are stages; if not, they must all be modules."""
    stages = list(encoder.stages()) if isinstance(encoder, Staged) else []
    if all(name in stages for name in names):
        order = [stages.index(name) for name in names]
        if order != sorted(order):
            raise ConfigError(
                f"the {modality} encoder comes to its stages in the order {', '.join(stages)}, not {names}"
            )
        return True
    modules = [name for name, _ in encoder.named_modules() if name]
    for name in names:
        if name not in modules:
            hint = did_you_mean(name, [*stages, *modules])
            if len(modules) > 20 and hint.startswith(" Known"):  # a deep network's hundreds of names help nobody
                hint = did_you_mean(name, stages or [child for child, _ in encoder.named_children()])
            raise UnknownNameError(f"the {modality} encoder has no layer {name!r}.{hint}")
    return False
