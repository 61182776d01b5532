import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from counterpoint.data import children
from counterpoint.experiments.process_pool import ERROR, LOG, Pool
from pool_tasks import Task, sleep, square, tasks


def test_one_failure_does_not_end_the_others(tmp_path: Path):
    started: list[int] = []
    with Pool(square) as pool:
        outcomes = list(pool.run(tasks(tmp_path, 5), lambda task: started.append(task.number)))
    assert started == [0, 1, 2, 3, 4]
    assert [o.result for o in outcomes] == [0, 1, 4, None, 16]
    assert outcomes[3].error == "ValueError: three is refused"
    assert "Traceback" in (tmp_path / "3" / ERROR).read_text()
    assert not (tmp_path / "2" / ERROR).exists()


def test_workers_may_die_without_ending_the_others(tmp_path: Path):
    with Pool(square, jobs=2) as pool:
        outcomes = {o.task.number: o for o in pool.run(tasks(tmp_path / "workers", 7))}
        again = [o.result for o in pool.run(tasks(tmp_path / "workers", 2))]
    assert sorted(again) == [0, 1]
    assert {i: outcomes[i].result for i in (0, 1, 2, 5, 6)} == {0: 0, 1: 1, 2: 4, 5: 25, 6: 36}
    assert outcomes[3].error == "ValueError: three is refused"
    assert "lack of memory" in (outcomes[4].error or "")
    assert "at work" in (tmp_path / "workers" / "6" / LOG).read_text()


def test_an_interrupt_stops_the_workers(tmp_path: Path):
    def interrupt(task: Task) -> None:
        if task.number == 1:
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), Pool(sleep, jobs=2) as pool:
        list(pool.run(tasks(tmp_path, 2), interrupt))
    assert time.monotonic() - began < 30


def test_a_worker_does_not_outlive_a_killed_parent(tmp_path: Path):
    parent = children.start("pool_tasks", str(tmp_path))
    note = tmp_path / "0" / "worker"
    wait_until(lambda: note.exists() and note.read_text())
    worker = int(note.read_text())
    parent.kill()
    parent.wait()
    wait_until(lambda: not alive(worker), seconds=20)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
