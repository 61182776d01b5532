import resource
import subprocess
import sys

import pytest

from counterpoint.allocator import use_large_allocations

PROBE = """
import resource, sys, torch
from counterpoint.allocator import use_large_allocations
settings = use_large_allocations() if sys.argv[1] == "on" else {}
x = torch.ones(16 * 2**20)
for _ in range(40):  # until the heap has room for one more beside small blocks
    x.clone()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    x.clone()
print(len(settings), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(switch):
    run = subprocess.run([sys.executable, "-c", PROBE, switch], capture_output=True, text=True, check=True)
    return [int(word) for word in run.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the setting is of glibc, on Linux")
def test_large_tensors_stop_faulting():
    settings, on = faults("on")
    if not settings:
        pytest.skip("the C library is not glibc")
    assert settings == 3
    _, off = faults("off")
    pages = 5 * 64 * 2**20 // resource.getpagesize()
    assert off > 0.5 * pages or off > 100  # huge pages fault less often
    assert on < 0.05 * off


def test_elsewhere_nothing_is_set(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert use_large_allocations() == {}
