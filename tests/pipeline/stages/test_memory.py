"""The peak of memory, measured in a process of its own."""

import json
import subprocess
import sys

PROGRAM = """
import json, resource, sys
from pathlib import Path
from edgewright.pipeline.stages import memory
before = memory.peak_mb()
block = bytearray(100 << 20)
for place in range(0, len(block), 4096):
    block[place] = 1
del block
usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([before, memory.peak_mb(), memory._rusage_peak(), usage]))
"""


def test_the_peak_stays_and_the_c_library_says_what_python_says() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after, own, usage = json.loads(done.stdout)
    assert 3 < before < 90 and 99 < after - before < 110
    assert own == usage and own / (1 << 20) >= after - 1
