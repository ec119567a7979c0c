"""This CPU: its name and its instruction sets as Linux tells them, and the class that it belongs to."""

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Cpu:
    """A CPU's name and its flags as Linux spells them; None for those where the system does not tell."""

    name: str
    flags: frozenset[str] | None


def read_cpu() -> Cpu:
    """The CPU that this process runs on."""
    name = platform.processor() or platform.machine()
    try:
        with CPUINFO.open(encoding="utf-8", errors="replace") as file:
            for line in file:  # as far as needed: a server tells the same of a hundred cores
                key, _, value = line.partition(":")
                if key.strip() == "model name":
                    name = value.strip()
                if key.strip() in ("flags", "Features"):
                    return Cpu(name, frozenset(value.split()))
    except OSError:  # not Linux: nothing is known of the CPU's features
        return Cpu(name, None)
    return Cpu(name, frozenset())


VNNI, AVX2, X86, ARM64 = "x86-64 with VNNI", "x86-64 with AVX2", "x86-64", "arm64"
"""Classes of CPUs that compute alike: what is proven on one of a class counts for all of it. By another kind of machine
its own name is the class ("riscv64").
"""

_VNNI_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_MACHINES = {"x86_64": X86, "amd64": X86, "aarch64": ARM64, "arm64": ARM64}


def class_of(cpu: Cpu, machine: str, saturates: bool) -> str:
    """The class of a CPU on a `machine` as `platform.machine()` names it. `saturates` says whether sums of its integer
    products do: that is so on x86 without VNNI, and counts for more than flags, which not every system tells and which
    an emulator takes from its host.
    """
    kind = _MACHINES.get(machine.lower(), machine.lower() or "unknown")
    if kind != X86:
        return kind
    if sys.maxsize < 1 << 32:  # a program of 32 bits has other kernels
        return "x86"
    if cpu.flags is not None and "avx2" not in cpu.flags:
        return X86
    known = cpu.flags is None or bool(cpu.flags & _VNNI_FLAGS)
    return VNNI if known and not saturates else AVX2
