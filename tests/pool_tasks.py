"""What tests give to a pool; its workers must be able to import it."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from counterpoint.experiments.process_pool import Pool


@dataclass(frozen=True)
class Task:
    folder: Path
    number: int


def square(task: Task) -> int:
    if task.number == 3:
        raise ValueError("three is refused")
    if task.number == 4 and task.folder.parent.name == "workers":
        os.kill(os.getpid(), signal.SIGKILL)
    print("at work")
    return task.number**2


def sleep(task: Task) -> None:
    time.sleep(60)


def note_and_sleep(task: Task) -> None:
    (task.folder / "worker").write_text(str(os.getpid()))
    time.sleep(60)


def main() -> None:
    """A process that runs a pool in the folder that it is given."""
    with Pool(note_and_sleep, jobs=2) as pool:
        list(pool.run(tasks(Path(sys.argv[1]), 1)))


def tasks(folder: Path, count: int) -> list[Task]:
    return [Task(folder / str(i), i) for i in range(count)]


def load(task: Task) -> int:
    """Imports what a training does, and loads by a process of its own."""
    from counterpoint.media import decode  # noqa: F401  (brings av)

    return int(sum(batch.sum() for batch in DataLoader([torch.ones(1)] * 2, num_workers=1)))
