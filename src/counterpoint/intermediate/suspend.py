"""Stop any network at its layers, and let it go on with other maps, without a copy of its code."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from counterpoint.errors import ConfigError, ShapeError


class _Abandoned(BaseException):  # no Exception: networks may catch those
    """Ends a pass that nobody waits for any more."""


class Suspended:
    """One forward pass of a network, in a thread of its own, that stops behind named layers.

    Network and caller never run at once: the pass runs from `advance` until its layer has spoken, and goes on,
    with `maps` in place of what the layer gave, at the next `advance` or `finish`. Modes that torch
    keeps per thread (gradients, autocast, number of threads, device and stream) are carried over. A context manager:
    leaving it ends a pass that is not finished, and takes all hooks away.

    The hooks answer to this pass alone, so that one network may be in several passes. A layer that is recomputed in
    ``backward()``, inside an activation checkpoint, is not stopped there again: name the checkpointed layer itself,
    not one inside it.

    Args:
        network: ``(B, ...)`` to ``(B, D)``.
        layers: dotted names of modules, in the order in which the pass comes to them, as in ``named_modules()``.
        x: its input.
    """

    maps: Tensor

    def __init__(self, network: nn.Module, layers: Sequence[str], x: Tensor) -> None:
        self._network, self._x = network, x
        self._told: SimpleQueue[tuple[str | None, Any]] = (
            SimpleQueue()
        )  # what the pass has come to: a layer, or its end
        self._asked: SimpleQueue[Tensor | None] = SimpleQueue()  # what it goes on with; None: not at all
        self._at: str | None = None
        self._ended = False
        self._modes = _modes(x)
        self._thread = threading.Thread(target=self._run, name="counterpoint-encoder", daemon=True)
        modules = dict(network.named_modules())
        self._hooks = [modules[name].register_forward_hook(self._hook(name)) for name in dict.fromkeys(layers)]

    def __enter__(self) -> Suspended:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        if self._thread.ident is not None:
            if not self._ended:
                self._asked.put(None)
            self._thread.join()

    def advance(self, layer: str) -> Tensor:
        """Run until `layer` has spoken; what it said is `maps` as well.

        Raises:
            ConfigError: another of the named layers comes first, or again, or `layer` never runs.
            ShapeError: the layer gave something else than a tensor.
        """
        if self._at == layer:  # a second part at the same place
            return self.maps
        came, what = self._resume()
        if came is None:
            raise ConfigError(
                f"the layer {layer!r} does not run in {type(self._network).__name__}, or not in this order"
            )
        if came != layer:
            raise ConfigError(
                f"the layer {came!r} of {type(self._network).__name__} runs before {layer!r}, or more than once; name "
                "layers that run once, in the order in which they do"
            )
        if not isinstance(what, Tensor):
            raise ShapeError(f"the layer {layer!r} gives {type(what).__name__}; a tensor (B, C, ...) is needed")
        self._at, self.maps = layer, what
        return what

    def finish(self) -> Tensor:
        """Run to the end; the features.

        Raises:
            ConfigError: a named layer runs again.
        """
        came, what = self._resume()
        if came is not None:
            raise ConfigError(f"the layer {came!r} of {type(self._network).__name__} runs more than once; name another")
        features: Tensor = what
        return features

    def _resume(self) -> tuple[str | None, Any]:
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._asked.put(self.maps)
        came, what = self._told.get()
        self._ended = came is None
        if isinstance(what, BaseException):
            raise what
        return came, what

    def _run(self) -> None:
        what: Any
        try:
            with self._modes:
                what = self._network(self._x)
        except BaseException as error:  # of whatever kind: it is raised where the caller waits
            what = error
        self._told.put((None, what))

    def _hook(self, name: str) -> Any:
        def stop(module: nn.Module, args: Any, output: Any) -> Any:
            if threading.current_thread() is not self._thread:
                return None
            self._told.put((name, output))
            reply = self._asked.get()
            if reply is None:
                raise _Abandoned
            return reply

        return stop


@contextlib.contextmanager
def _entered(grad: bool, inference: bool, threads: int, casts: Sequence[Any], place: Sequence[Any]) -> Iterator[None]:
    # OpenMP keeps the number per thread, and a new one begins with all cores: it would take them from processes beside
    # this one, and hang in a forked process, where one thread alone is safe.
    torch.set_num_threads(threads)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(inference))
        stack.enter_context(torch.set_grad_enabled(grad))
        for make in (*casts, *place):
            stack.enter_context(make)
        yield


def _modes(x: Tensor) -> contextlib.AbstractContextManager[None]:
    """The modes of the calling thread, to be entered by another."""
    casts = [
        torch.autocast(
            kind,
            torch.get_autocast_dtype(kind),
            enabled=torch.is_autocast_enabled(kind),
            cache_enabled=torch.is_autocast_cache_enabled(),
        )
        for kind in dict.fromkeys(("cpu", x.device.type))
    ]
    place: list[Any] = []
    if x.is_cuda:
        place = [torch.cuda.device(x.device), torch.cuda.stream(torch.cuda.current_stream(x.device))]
    threads = torch.get_num_threads()
    return _entered(torch.is_grad_enabled(), torch.is_inference_mode_enabled(), threads, casts, place)
