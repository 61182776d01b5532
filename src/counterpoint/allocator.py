"""The allocator setting that makes large CPU tensors cheap."""

from __future__ import annotations

import ctypes
import sys

# From glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def use_large_allocations() -> dict[str, int]:
    """Let glibc keep the memory of large tensors, instead of mapping it anew and faulting every page in at each use.

    glibc gives every block above 32 MiB back to the system as soon as it is free. A CPU training step that makes such
    tensors then spends up to half its time in page faults. Afterwards freed blocks stay with the process (its resident
    memory grows by a few per cent) until it ends. The setting is of the whole process and cannot be undone, hence a
    function to call and nothing that an import does; call it before large tensors are made.

    Returns:
        What was set, by glibc's names; empty, and nothing done, where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return {}
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return {}
    settings = {
        "M_MMAP_MAX": (_M_MMAP_MAX, 0),
        "M_TRIM_THRESHOLD": (_M_TRIM_THRESHOLD, 2**31 - 1),
        "M_TOP_PAD": (_M_TOP_PAD, 256 * 2**20),
    }
    return {name: value for name, (option, value) in settings.items() if libc.mallopt(option, value)}
