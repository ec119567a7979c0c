"""Runs cases in processes of their own: one that crashes, hangs or grows takes none of the others with it."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from typing import Any

from tests.fuzz.trial import Fault, Prepared, Target

_context = multiprocessing.get_context("fork")

ADDRESS_SPACE = 4 << 30
"""Bytes that a process may ask for beyond what it has when its inputs are ready."""

_ROUNDS = (0.02, 0.18, 0.8)
"""Shares of the cases of each target: where time runs out, all of them have had their turn."""


@dataclass
class Tally:
    """What came of the cases of a target."""

    planned: int
    answered: int = 0
    refused: int = 0
    seconds: float = 0.0
    faults: list[Fault] = field(default_factory=list)

    @property
    def done(self) -> int:
        """How many cases were tried."""
        return self.answered + self.refused


@dataclass
class _Job:
    target: Target
    start: int
    stop: int


class _Worker:
    """A process on some cases of a target."""

    def __init__(self, job: _Job, seed: int) -> None:
        self.job = job
        self.case = job.start - 1  # its inputs are being made
        self.since = time.monotonic()
        self.failed = False
        self.pipe, theirs = _context.Pipe(duplex=False)
        self.process = _context.Process(target=_work, args=(job, seed, theirs))
        self.process.start()
        theirs.close()

    def allowed(self) -> float:
        """Seconds that the process may be silent."""
        return self.job.target.seconds + (60 if self.case < self.job.start else 0)


def _work(job: _Job, seed: int, pipe: connection.Connection) -> None:
    """The life of the process: tells the number of each case before it is tried, and what came of it."""
    os.setpgid(0, 0)  # what it starts goes with it
    devnull = os.open(os.devnull, os.O_RDWR)
    os.dup2(devnull, 0)
    os.dup2(devnull, 1)
    with Prepared(job.target, seed) as prepared:
        _limit_memory()
        for case in range(job.start, job.stop):
            pipe.send(case)
            began = time.perf_counter()
            fault, answered = prepared.fault_of(case)
            pipe.send((answered, fault, time.perf_counter() - began))


def _limit_memory() -> None:
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 (no path of ours)
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + ADDRESS_SPACE, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run(
    targets: Sequence[Target],
    seed: int,
    share: float = 1.0,
    seconds: float | None = None,
    processes: int = 1,
    tell: Callable[[dict[str, Tally], float], Any] = lambda tallies, seconds: None,
    only: int | None = None,
) -> dict[str, Tally]:
    """Try `share` of the cases of each target, or the case `only`, within `seconds`; `tell` is called now and then.

    Returns what came of them. A process that ends or hangs is a fault of the case that it was at; the others of its
    cases are tried in a new one.
    """
    tallies = {target.name: Tally(1 if only is not None else _count(target, share)) for target in targets}
    jobs = deque(_jobs(targets, share, only))
    began = told = time.monotonic()
    workers: list[_Worker] = []
    try:
        while jobs or workers:
            late = seconds is not None and time.monotonic() - began > seconds
            if late:
                break
            while jobs and len(workers) < processes:
                workers.append(_Worker(jobs.popleft(), seed))
            connection.wait([worker.pipe for worker in workers], 0.2)
            for worker in list(workers):
                if not _attend(worker, tallies[worker.job.target.name], seed):
                    continue
                workers.remove(worker)
                if worker.case + 1 < worker.job.stop and worker.failed:
                    jobs.appendleft(
                        _Job(worker.job.target, max(worker.case + 1, worker.job.start), worker.job.stop)
                    )
            if time.monotonic() - told > 10:
                told = time.monotonic()
                tell(tallies, told - began)
    finally:
        for worker in workers:
            _end(worker)
    return tallies


def _count(target: Target, share: float) -> int:
    return max(1, round(target.cases * share))


def _jobs(targets: Sequence[Target], share: float, only: int | None) -> list[_Job]:
    if only is not None:
        return [_Job(target, only, only + 1) for target in targets]
    found, starts = [], {target.name: 0 for target in targets}
    for number, part in enumerate(_ROUNDS):
        for target in targets:
            count, start = _count(target, share), starts[target.name]
            stop = count if number == len(_ROUNDS) - 1 else min(count, start + max(1, round(count * part)))
            if stop > start:
                found.append(_Job(target, start, stop))
            starts[target.name] = stop
    return found


def _attend(worker: _Worker, tally: Tally, seed: int) -> bool:
    """Take what the process says; whether it has ended."""
    ended = not worker.process.is_alive()
    while worker.pipe.poll():
        try:
            said = worker.pipe.recv()
        except EOFError:
            ended = True
            worker.process.join(5)
            break
        worker.since = time.monotonic()
        if isinstance(said, int):
            worker.case = said
            continue
        answered, fault, spent = said
        tally.answered += answered
        tally.refused += not answered
        tally.seconds += spent
        tally.faults += [fault] if fault else []
    silent = time.monotonic() - worker.since
    if not ended and silent <= worker.allowed():
        return False
    _end(worker)
    code = worker.process.exitcode
    if ended and code == 0:
        return True
    worker.failed = True
    what = (
        f"ends the process ({_ending(code)})"
        if ended
        else f"hangs: no end in {worker.job.target.seconds:g} s"
    )
    tally.refused += 1
    tally.faults.append(Fault(worker.job.target.name, worker.case, seed, what))
    if worker.case < worker.job.start:  # not even its inputs could be made
        worker.case = worker.job.stop
    return True


def _end(worker: _Worker) -> None:
    if worker.process.is_alive():
        try:
            os.killpg(worker.process.pid or 0, signal.SIGKILL)
        except ProcessLookupError:
            worker.process.kill()
    worker.process.join()
    worker.pipe.close()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit status {code}"


def by_kind(faults: Sequence[Fault]) -> dict[str, list[Fault]]:
    """Faults of one kind together, the commonest first."""
    found: dict[str, list[Fault]] = {}
    for fault in faults:
        found.setdefault(f"{fault.target}: {fault.kind}", []).append(fault)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def report(tallies: dict[str, Tally], seconds: float, file: Any = None) -> int:
    """Print a row for each target, and every kind of fault with how to repeat it; how many kinds there are."""
    out = file or sys.stdout
    print(f"{'target':<22}{'cases':>8}{'answered':>10}{'refused':>9}{'ms each':>9}{'faults':>8}", file=out)
    for name, tally in tallies.items():
        each = 1000 * tally.seconds / max(tally.done, 1)
        print(
            f"{name:<22}{tally.done:>8,}{tally.answered:>10,}{tally.refused:>9,}{each:>9.1f}{len(tally.faults):>8}",
            file=out,
        )
    kinds = by_kind([fault for tally in tallies.values() for fault in tally.faults])
    done, planned = (sum(getattr(tally, key) for tally in tallies.values()) for key in ("done", "planned"))
    print(
        f"\n{done:,} of {planned:,} cases of {len(tallies)} targets in {seconds:.0f} s, {len(kinds)} faults",
        file=out,
    )
    for kind, faults in kinds.items():
        print(f"\n{kind} ({len(faults)} times)\n{faults[0].told}", file=out)
        for fault in faults[:3]:
            print(f"  {fault.repeat}", file=out)
    return len(kinds)
