"""What Linux says of this CPU: its name and its instruction sets."""

import platform
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
