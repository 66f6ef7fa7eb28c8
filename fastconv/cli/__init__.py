"""The command line: ``fastconv info, warmup, bench, explain, train, evaluate, predict, show, lectures``.

Commands parse and print, nothing else.

Exit codes: 0 done; 1 a benchmark found a wrong result; 2 bad arguments, data, files or devices, or a training whose
loss is no number (one line says what); 130 interrupted by Ctrl-C, 143 by SIGTERM and 129 by SIGHUP, after saving;
141 the reader of the output has gone, as shells say it of any program.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ..errors import FastconvError, nearest, shown
from ..interrupts import ENDING, exit_status, handlers, terminate
from ..streams import put
from .console import OutputLost, say

COMMANDS = ("info", "warmup", "bench", "explain", "train", "evaluate", "predict", "show", "lectures")
READER_GONE = 141  # 128 + SIGPIPE


class _Failure(click.ClickException):
    exit_code = 2

    def show(self, file: Any = None) -> None:
        say(f"Error: {self.format_message()}")


class _Group(click.Group):
    """Commands are imported when they are used, and fastconv's own errors become one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"{shown(args[0])} is not one of {', '.join(COMMANDS)}{nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **options: Any) -> Any:
        _fill_standard_handles()
        try:
            return super().main(*args, **options)
        except OSError as error:  # what click itself printed, such as help
            if put(sys.stdout, "") is None:
                raise
            say(f"Error: {OutputLost(error)}")
            sys.exit(_Failure.exit_code)
        finally:
            _drop_what_cannot_be_written()

    def invoke(self, ctx: click.Context) -> Any:
        default = [n for n in ENDING if signal.getsignal(n) is signal.SIG_DFL]  # not what nohup ignores
        try:
            with handlers(dict.fromkeys(default, terminate)):
                return super().invoke(ctx)
        except OutputLost as error:
            if error.reader_gone:
                ctx.exit(READER_GONE)
            raise _Failure(str(error)) from error
        except FastconvError as error:
            raise _Failure(str(error)) from error
        except MemoryError as error:
            raise _Failure(f"there is not enough memory for this: {shown(error)}") from error
        except KeyboardInterrupt as error:
            say("Interrupted.")
            ctx.exit(exit_status(error))


def _fill_standard_handles() -> None:
    """Let no file of ours get the number of a standard stream that was closed."""
    with suppress(OSError):
        while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
            pass
        os.close(handle)


def _drop_what_cannot_be_written() -> None:
    """Keep the interpreter from writing once more, and complaining, when it ends."""
    for stream in (sys.stdout, sys.stderr):
        if put(stream, "") is not None:
            with suppress(OSError, ValueError, AttributeError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
