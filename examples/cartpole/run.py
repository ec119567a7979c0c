"""A control policy learnt from demonstrations, moved to a changed simulator with eight episodes, and run in the loop.

    python examples/cartpole/run.py

1. A demonstrator who knows every state (an LQR) balances the pole. An LSTM that sees what two encoders tell, where cart
   and pole are and how far they moved since the last step, learns its commands.
2. In the changed simulator (the pole twice as long; the motor weaker, and mounted the other way round) it fails.
3. The recurrent layer is kept, and the head learns anew from eight episodes. Beside it, a net that starts from nothing
   learns from the same eight.
4. Torch and every bundled precision drive, with one `stream.push` for each step. The largest return is 500, the
   simulator's own limit.

Runs and bundles live in runs/cartpole; a second call finds them finished.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray

from edgewright.exporters.table import Column
from edgewright.pipeline.cli.output import progress_bars
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.stages.export import ship
from edgewright.pipeline.training.results import load_trained
from edgewright.runtime import Engine
from edgewright.runtime.bundle.files import write_text

HERE = Path(__file__).parent
RUNS = HERE.parent.parent / "runs" / "cartpole"
CHANGED = {"length": 1.0, "force_mag": -8.0}
"""gymnasium's `length` is half the pole's, 0.5 as it comes; the motor's force is 10."""

VARIANTS = ("fp32", "int8-dynamic")
EPISODES, FEW, STEPS = 60, 8, 200
RETURNS = 20
POLE_AND_CART = [0, 2]
"""Position and angle: their places in the simulator's state, beside the velocities, which no sensor measures."""

Policy = Callable[[NDArray[np.float64]], float]
"""The simulator's state to a command: positive drives the motor forwards. Of the state it may read what it has sensors
for.
"""

Returns = tuple[str, str, list[float]]
"""A simulator, a policy, and its mean return in torch and in each variant; a policy without a model has one."""


class Encoders:
    """The sensors of cart and pole: position, angle, and how far each moved since the last look."""

    def __init__(self) -> None:
        self._before: NDArray[np.float64] | None = None

    def read(self, state: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the sensors tell of a state, float64 [4]."""
        now = state[POLE_AND_CART]
        moved = np.zeros(2) if self._before is None else now - self._before
        self._before = now
        return np.concatenate((now, moved))


def simulator(changes: dict[str, float]) -> Any:
    """gymnasium's CartPole-v1 with other physics."""
    environment = gymnasium.make("CartPole-v1")
    physics = environment.unwrapped
    for name, value in changes.items():
        setattr(physics, name, value)
    physics.polemass_length = physics.masspole * physics.length
    return environment


def demonstrator(environment: Any) -> Policy:
    """A linear-quadratic regulator for this simulator: its whole state to a command from -1 to 1."""
    physics = environment.unwrapped
    total = physics.masspole + physics.masscart
    share = physics.masspole / total
    inertia = physics.length * (4 / 3 - share)
    falls, pushed = physics.gravity / inertia, -1 / total / inertia
    rolls = np.array([0, 0, -share * physics.length * falls, 0])
    drift = np.array([[0, 1, 0, 0], rolls, [0, 0, 0, 1], [0, 0, falls, 0]])
    push = np.array([[0], [1 / total - share * physics.length * pushed], [0], [pushed]])
    step, gain = np.eye(4) + physics.tau * drift, physics.tau * push
    cost, effort = np.diag([1, 0.1, 5, 0.1]), np.array([[0.01]])
    solved = scipy.linalg.solve_discrete_are(step, gain, cost, effort)
    regulator = np.linalg.solve(effort + gain.T @ solved @ gain, gain.T @ solved @ step)[0]
    return lambda state: float(np.clip(-regulator @ state / physics.force_mag, -1, 1))


def demonstrate(environment: Any, count: int, seed: int) -> str:
    """`count` episodes as CSV: what the sensors see and what the demonstrator commands.

    One command in ten is replaced by a random one, so that the recovery from a mistake is demonstrated as well.
    """
    expert, random = demonstrator(environment), np.random.default_rng(seed)
    lines = ["episode,step,position,angle,moved,turned,command"]
    for episode in range(count):
        environment.reset(seed=seed + episode)
        state = random.uniform(-1, 1, 4) * [1.0, 0.5, 0.1, 0.5]
        environment.unwrapped.state = state.copy()
        encoders = Encoders()
        for step in range(STEPS):
            command = expert(state)
            seen = ",".join(repr(float(value)) for value in encoders.read(state))
            lines.append(f"{episode},{step},{seen},{command!r}")
            action = int(random.integers(2)) if random.random() < 0.1 else int(command > 0)
            state, _, failed, stopped, _ = environment.step(action)
            state = np.asarray(state, np.float64)
            if failed or stopped:
                break
    return "\n".join([*lines, ""])


def mean_return(environment: Any, begin: Callable[[], Policy]) -> float:
    """Steps until the pole falls or the cart leaves the track, the mean over episodes that nobody has trained on."""
    steps = 0
    for episode in range(RETURNS):
        state, _ = environment.reset(seed=10_000 + episode)
        policy, over = begin(), False
        while not over:
            command = policy(np.asarray(state, np.float64))
            state, _, failed, stopped, _ = environment.step(int(command > 0))
            steps, over = steps + 1, failed or stopped
    return steps / RETURNS


@contextmanager
def streamed(bundle: Path, variant: str) -> Iterator[Callable[[], Policy]]:
    """The policy as a device runs it."""
    with Engine(bundle, variant, threads=1) as engine, engine.stream() as stream:

        def begin() -> Policy:
            stream.reset()
            encoders = Encoders()
            return lambda state: float(stream.push(encoders.read(state)).last[0])

        yield begin


def in_torch(run: Path) -> Callable[[], Policy]:
    """The policy as it was trained, one step at a time; encoded and decoded by the device's own code."""
    loaded = load_trained(run)
    device = loaded.task.device_task(loaded.built.settings, loaded.classes, loaded.built.assets)
    step = loaded.built.part("step")
    assert step.spec is not None
    specs = step.spec.states

    def begin() -> Policy:
        encoders = Encoders()
        states = [torch.zeros(1, 1, int(state.shape[2])) for state in specs]

        def policy(state: NDArray[np.float64]) -> float:
            values = torch.from_numpy(device.encode(encoders.read(state)[np.newaxis])["values"])
            with torch.inference_mode():
                answer, *states[:] = step.module(values[np.newaxis], *states)
            return float(device.decode({"prediction": answer.numpy()}, {}).last[0])

        return policy

    return begin


def columns() -> list[Column[Returns]]:
    """Simulator, policy, and the return of each way to run it."""
    names: list[Column[Returns]] = [
        Column("simulator", lambda row: row[0]),
        Column("policy", lambda row: row[1]),
    ]
    return [*names, *(return_of(place, way) for place, way in enumerate(("torch", *VARIANTS)))]


def return_of(place: int, way: str) -> Column[Returns]:
    """The return of one way to run a policy, where it was run that way."""
    return Column(way, lambda row: "".join(f"{value:.1f}" for value in row[2][place : place + 1]), right=True)


def main() -> int:
    """Demonstrate, learn, adapt, ship, drive, and print the returns."""
    torch.set_num_threads(1)
    worlds = {"as trained": simulator({}), "changed": simulator(CHANGED)}
    write_text(RUNS / "demonstrations.csv", demonstrate(worlds["as trained"], EPISODES, seed=0))
    write_text(RUNS / "few_demonstrations.csv", demonstrate(worlds["changed"], FEW, seed=1000))
    from_nothing = ("weights=none", "transfer.mode=fine-tuning", "training.epochs=200", "training.lr=1e-2")
    policies = {
        "source": ("source.yaml", ()),
        "adapted": ("adapted.yaml", ()),
        "from nothing": ("adapted.yaml", from_nothing),
    }
    runs = {name: RUNS / name.replace(" ", "_") for name in policies}
    bundles = {name: RUNS / "bundles" / run.name for name, run in runs.items()}
    with progress_bars() as progress:
        for name, (recipe, overrides) in policies.items():
            outcome = ship(HERE / recipe, bundles[name], runs[name], overrides, progress=progress)
            if outcome.bundle is None:
                print(f"{name}: nothing ships: {outcome.verdict.reason}", file=sys.stderr)
                return 1
    rows: list[Returns] = []
    for world, names in (("as trained", ("source",)), ("changed", ("source", "from nothing", "adapted"))):
        environment = worlds[world]
        best = mean_return(environment, partial(demonstrator, environment))
        rows.append((world, "demonstrator, sees all", [best]))
        for name in names:
            returns = [mean_return(environment, in_torch(runs[name]))]
            for variant in VARIANTS:
                with streamed(bundles[name], variant) as begin:
                    returns.append(mean_return(environment, begin))
            rows.append((world, name, returns))
    print(f"mean return over {RETURNS} episodes, 500 at most; {FEW} episodes to adapt\n")
    print(table(columns(), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
