"""One thread per test process (pytest runs several), and caches that belong to the test run alone."""

import os
import signal

import pytest
import torch

torch.set_num_threads(1)
os.environ.setdefault("MPLBACKEND", "agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell runs in the background
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what the tests start is to hear Ctrl-C


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory):
    os.environ["COUNTERPOINT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
