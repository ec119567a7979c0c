"""How much memory this process has held at most, on every system and without a package."""

import contextlib
import ctypes
import sys
from pathlib import Path


def peak_mb() -> float:
    """The largest resident size that this process has had so far, in MiB."""
    if sys.platform == "win32":
        return _windows_peak() / (1 << 20)
    # What getrusage says begins at the size of the process that started this one, which may hold torch.
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return _rusage_peak() / (1 << 20)


def _rusage_peak() -> int:
    """Bytes, by getrusage of the C library."""
    usage = (ctypes.c_long * 32)()  # two pairs of longs for the times stand before ru_maxrss
    ctypes.CDLL(None).getrusage(0, usage)
    return usage[4] if sys.platform == "darwin" else usage[4] * 1024


def _windows_peak() -> int:
    """Bytes, by GetProcessMemoryInfo."""
    counters = (ctypes.c_size_t * 16)()  # two 32-bit numbers stand before PeakWorkingSetSize
    kernel = ctypes.CDLL("kernel32")
    kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
    counters[0] = size = 8 + 8 * ctypes.sizeof(ctypes.c_size_t)
    kernel.K32GetProcessMemoryInfo(ctypes.c_void_p(-1), counters, size)  # -1 is this process
    return counters[1]
