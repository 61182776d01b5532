"""One process at a time in a folder, whatever becomes of the others."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from counterpoint._lock import LOCK, locked
from counterpoint.errors import InUseError, WriteError

HOLD = """
import multiprocessing, sys, time
from pathlib import Path
from counterpoint._lock import locked

with locked(Path(sys.argv[1])):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    child.start()
    print(child.pid, flush=True)
    time.sleep(60)
"""


def refused(folder):
    with pytest.raises(InUseError) as told, locked(folder):
        raise AssertionError("it was not held")
    return str(told.value)


def in_thread(function):
    """A thread is as foreign to the lock as another process."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


def test_another_thread_is_told_and_the_same_one_goes_on(tmp_path):
    folder = tmp_path / "runs" / "a"
    with locked(folder), locked(folder):
        assert "is in use by process" in in_thread(lambda: refused(folder))
        (folder / "result").write_text("")
    with locked(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["result"]


def test_a_folder_into_which_nothing_came_is_gone(tmp_path):
    with locked(tmp_path / "runs" / "a"):
        assert (tmp_path / "runs" / "a" / LOCK).is_file()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing_nor_do_those_it_forked(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        child = int(holder.stdout.readline())
        told = refused(tmp_path)
        assert f"process {holder.pid} on " in told and "wait for it to end" in told
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path, patience=20):  # until the forked one has had a moment to run
            assert (tmp_path / LOCK).is_file()
    finally:
        holder.kill()
        subprocess.run(["kill", str(child)], check=False)


def test_who_is_patient_waits_for_the_holder(tmp_path):
    free = threading.Event()

    def hold():
        with locked(tmp_path):
            held.set()
            free.wait(20)

    held = threading.Event()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    threading.Timer(0.2, free.set).start()
    with locked(tmp_path, patience=20):
        pass
    thread.join()


def test_who_waits_is_told_once_who_holds_the_folder(tmp_path):
    told = []

    def wait():
        with pytest.raises(InUseError), locked(tmp_path, patience=0.3, waiting=told.append):
            raise AssertionError("it was not held")

    with locked(tmp_path) as held:
        assert held
        in_thread(wait)
    assert len(told) == 1 and f"{tmp_path} is in use by process" in told[0]


@pytest.mark.parametrize("call", ["mkdir", "open"])
def test_a_full_disk_is_told_in_one_line(call, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path if call == "mkdir" else os, call, full)
    with pytest.raises(WriteError, match="runs cannot be written: No space left on device"), locked(tmp_path / "runs"):
        raise AssertionError("it was not held")
