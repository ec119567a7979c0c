"""`edgewright predict`: raw inputs in, answers out; needs no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgewright.pipeline.cli.options import (
    bundle_argument,
    json_option,
    provider_option,
    threads_option,
    variant_option,
)

if TYPE_CHECKING:
    from edgewright.runtime.options import Option


def task_options(bundle: Path) -> "tuple[Option, ...]":
    """The options of the task that a bundle is for; none where that cannot be read, which opening it then says."""
    from edgewright.runtime.bundle.manifest import MANIFEST_NAME
    from edgewright.runtime.bundle.structure import StructureError, parse_json
    from edgewright.runtime.tasks import options_of

    try:
        document = parse_json((bundle / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError, StructureError):
        return ()
    return options_of(str(document.get("task"))) if isinstance(document, dict) else ()


class TaskCommand(click.Command):
    """A command on a bundle, with the options of the bundle's task beside its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, once the bundle among the words has said which options there are."""
        own = [word for word in args if not word.startswith("-")]
        declared = next((found for word in own if (found := task_options(Path(word)))), ())
        before = self.params
        self.params = [*before, *map(_flag, declared)]
        try:
            rest = super().parse_args(ctx, args)
        finally:
            self.params = before
        texts = {option.name: ctx.params.pop(option.name, None) for option in declared}
        ctx.params["asked"] = {
            option.name: option.read(texts[option.name])
            for option in declared
            if texts[option.name] is not None
        }
        return rest


def _flag(option: "Option") -> click.Option:
    if option.kind is bool:
        return click.Option([option.flag], is_flag=True, flag_value="true", default=None, help=option.help)
    several = option.kind is list
    more = (
        " Separated by commas; in quotes where one holds a comma, as in '\"red, white\",blue'."
        if several
        else ""
    )
    metavar = "A,B" if several else option.kind.__name__.upper()
    return click.Option([option.flag], metavar=metavar, help=f"{option.help}{more}")


@click.command(
    cls=TaskCommand,
    epilog="A task may have options of its own, such as --labels: edgewright predict BUNDLE --help shows them.",
)
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
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write what of an answer is a file, such as the picture of a mask, into this folder.",
)
@click.option(
    "--format",
    "form",
    metavar="FORM",
    help="How to write answers: json, jsonl, csv, label (what is decided alone), or a form that the task has.",
)
@click.option(
    "--stdin-format",
    default="",
    metavar="ENDING",
    help="What - holds, such as csv or jsonl; without it texts are read line by line, series as csv.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop when one run of the model takes longer; answers before it stand.",
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
    out: Path | None,
    form: str | None,
    stdin_format: str,
    timeout: float | None,
    as_json: bool,
    asked: dict[str, Any],
) -> None:
    """Answer INPUTS with BUNDLE: files, folders of files, patterns such as "*.png", @FILE for a list of those, - for
    standard input, or the text itself where the bundle reads text.

    Answers are written as they come, a table's columns are kept in json, jsonl and csv. What cannot be read, a file of
    a folder with another ending too, is named on stderr and the others are still answered; the exit status is then 1.
    """
    from edgewright.pipeline.cli.predicting import Request, predict_inputs, stream_inputs
    from edgewright.runtime import Engine

    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} are two forms: choose one")
    request = Request(inputs, top, "json" if as_json else form or "", asked, out, stdin_format)
    with Engine(bundle, variant=variant, provider=provider, threads=threads, timeout=timeout) as engine:
        failed = stream_inputs(engine, request) if stream else predict_inputs(engine, request)
    if failed:
        click.get_current_context().exit(1)
