"""Runs a function in several processes that form one gloo group, and hands back what each returned."""

import importlib.util
import inspect
import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _worker(rank: int, world: int, folder: str, file: str, name: str, args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    spec = importlib.util.spec_from_file_location("in_process", file)  # pytest's own name for it is not importable
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    store = dist.FileStore(os.path.join(folder, "store"), world)  # noqa: PTH118  # no port that could be taken
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=60))
    try:
        torch.save(getattr(module, name)(rank, world, *args), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def in_processes(world: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """`[function(rank, world, *args) for each rank]`, each in its own process.

    `function` stands at the top of its module, and `args` can be pickled.
    """
    # Forking saves the import of torch, but autograd cannot be forked once it has run on a GPU.
    start = "spawn" if torch.cuda.is_available() else "fork"
    with tempfile.TemporaryDirectory() as folder:
        job = (world, folder, inspect.getfile(function), function.__name__, args)
        mp.start_processes(_worker, job, nprocs=world, start_method=start)
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(world)]
