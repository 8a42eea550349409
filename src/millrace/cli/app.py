"""The commands of `millrace`, and what they are called."""

import typer

from millrace.cli import definitions, runs, server

app = typer.Typer(
    name="millrace",
    help="Millrace: durable workflows on your own machine. Start with `millrace up`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(server.up)
app.command()(definitions.validate)
app.command()(definitions.apply)
app.command()(runs.run)
app.command(name="runs")(runs.runs)
app.command()(runs.show)
app.command()(runs.logs)
app.command()(runs.cancel)
app.command()(server.doctor)
app.command()(server.version)
