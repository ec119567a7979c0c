"""`python -m edgewright.pipeline.training RECIPE RUN_DIR [KEY=VALUE ...]`: one training, for many processes.

torchrun --nproc_per_node 2 -m edgewright.pipeline.training recipe.yaml run/
"""

import sys
from pathlib import Path

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Train and print the metrics' file; returns the exit status."""
    from edgewright.pipeline.data.sources import open_data
    from edgewright.pipeline.models.build import build_model
    from edgewright.pipeline.recipe import load_recipe
    from edgewright.pipeline.training.fit import fit
    from edgewright.runtime.errors import EdgewrightError

    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        recipe = load_recipe(Path(arguments[0]), arguments[2:])
        splits = open_data(recipe)
        built = build_model(
            recipe.model,
            len(splits.classes),
            recipe.weights,
            recipe.input.size,
            recipe.transfer.head,
            recipe.training.seed,
        )
        trained = fit(built, splits, recipe, Path(arguments[1]))
    except EdgewrightError as error:
        print(error, file=sys.stderr)
        return 1
    print(trained.weights)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
