"""`edgewright predict`: raw inputs in, answers out; needs no torch."""

from pathlib import Path

import click

from edgewright.pipeline.cli.options import (
    bundle_argument,
    json_option,
    provider_option,
    threads_option,
    variant_option,
)


@click.command()
@bundle_argument
@click.argument("inputs", nargs=-1, required=True)
@variant_option
@provider_option
@threads_option
@click.option("--top", type=click.IntRange(1), default=1, show_default=True, help="How many labels to print.")
@click.option(
    "--stream",
    is_flag=True,
    help="Push each series step by step, sound in tenths of a second, and print the answer after each.",
)
@click.option(
    "--labels",
    metavar="A,B",
    help="What a text may be, separated by commas, for a bundle whose labels come with the question; "
    "quote a label that holds a comma, as in '\"red, white\",blue'.",
)
@json_option
def command(
    bundle: Path,
    inputs: tuple[str, ...],
    variant: str,
    provider: str,
    threads: int | None,
    top: int,
    stream: bool,
    labels: str | None,
    as_json: bool,
) -> None:
    """Answer INPUTS with BUNDLE: files, folders of files, or the text itself where the bundle reads text.

    An input that cannot be read is named on stderr and the others are still answered; the exit status is then 1.
    """
    from edgewright.pipeline.cli.predicting import label_names, predict_inputs, stream_inputs
    from edgewright.runtime import Engine

    if stream and labels is not None:
        raise click.UsageError("--labels belongs to texts, and --stream to series and sound: leave one out")
    names = None if labels is None else label_names(labels)
    with Engine(bundle, variant=variant, provider=provider, threads=threads) as engine:
        if stream:
            failed = stream_inputs(engine, inputs, top=top, as_json=as_json)
        else:
            failed = predict_inputs(engine, inputs, top=top, as_json=as_json, labels=names)
    if failed:
        click.get_current_context().exit(1)
