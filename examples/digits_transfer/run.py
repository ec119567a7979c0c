"""A real transfer without any download: learn digits 0-4, then 5-9 from five samples of each.

    python examples/digits_transfer/run.py

Prints accuracy on held-out digits 5-9 for training from scratch, fine-tuning and feature extraction, over three
draws of the five samples. Runs live in runs/digits_transfer; a second call finds them finished.
"""

import statistics
import sys
from pathlib import Path

from edgewright.exporters.table import Column, figure
from edgewright.pipeline.cli.output import progress_bars
from edgewright.pipeline.cli.render import table
from edgewright.pipeline.recipe.load import load_recipe
from edgewright.pipeline.stages.fit import fit_run

HERE = Path(__file__).parent
RUNS = HERE.parent.parent / "runs" / "digits_transfer"
WAYS = {"from scratch": "scratch", "fine-tuning": "fine_tuning", "feature extraction": "feature_extraction"}
SEEDS = (0, 1, 2)

Accuracies = tuple[str, list[float]]
"""A way to train, and what it reached with each seed."""


def columns() -> list[Column[Accuracies]]:
    """Way, accuracy of each seed, their mean."""
    way: Column[Accuracies] = Column("way", lambda row: row[0])
    mean: Column[Accuracies] = figure("mean", lambda row: statistics.mean(row[1]), ".3f")
    return [way, *map(of_seed, SEEDS), mean]


def of_seed(seed: int) -> Column[Accuracies]:
    """The accuracy of one draw."""
    return figure(f"seed {seed}", lambda row: row[1][SEEDS.index(seed)], ".3f")


def main() -> int:
    """Run everything and print the table."""
    with progress_bars() as progress:
        source = fit_run(load_recipe(HERE / "source.yaml"), RUNS / "source", progress=progress)
        accuracy: dict[str, list[float]] = {}
        for way, name in WAYS.items():
            for seed in SEEDS:
                recipe = load_recipe(HERE / f"{name}.yaml", [f"training.seed={seed}"])
                trained = fit_run(recipe, RUNS / f"{name}_{seed}", progress=progress)
                accuracy.setdefault(way, []).append(trained.metrics["evaluation"]["accuracy"])
    print(f"digits 0-4, the source: accuracy {source.metrics['evaluation']['accuracy']:.3f}\n")
    print("digits 5-9, five training samples of each class")
    print(table(columns(), accuracy.items()), end="\n\n")
    means = {way: statistics.mean(values) for way, values in accuracy.items()}
    for way in list(WAYS)[1:]:
        print(
            f"{way}: {100 * (means[way] - means['from scratch']):+.1f} points against training from scratch"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
