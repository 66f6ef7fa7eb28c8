"""The command line: ``fastconv info, warmup, bench, explain, train``. Commands parse and print, nothing else.

Exit codes: 0 done; 1 a benchmark found a wrong result; 2 bad arguments, data, files or devices (one line says what);
130 interrupted by Ctrl-C, after saving.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from ..errors import FastconvError

COMMANDS = ("info", "warmup", "bench", "explain", "train")
INTERRUPTED = 130


class _Failure(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Commands are imported when they are used, and fastconv's own errors become one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name) if cmd_name in COMMANDS else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FastconvError as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from .. import __version__

        click.echo(f"fastconv {__version__}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Fast convolution for people who live in NumPy."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks "×" shows "?" rather than a traceback


def use_threads(n: int | None) -> None:
    """Apply a --threads option."""
    if n is not None:
        from ..threads import set_num_threads

        set_num_threads(n)
