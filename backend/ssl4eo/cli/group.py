# SPDX-License-Identifier: GPL-2.0-or-later
"""The group `ssl4eo`: finds a command's module when it is called, and turns errors into sentences and exit codes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ssl4eo import __version__
from ssl4eo.errors import Cancelled, Ssl4eoError

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["main"]

# Where each command lives. Modules are imported when a command is called, so that `ssl4eo models` costs no torch.
_COMMANDS = {
    "models": "ssl4eo.cli.models",
    "weights": "ssl4eo.cli.weights",
    "inspect": "ssl4eo.cli.scenes",
    "harmonise": "ssl4eo.cli.harmonise",
    "simulate": "ssl4eo.cli.scenes",
    "encode": "ssl4eo.cli.maps",
    "classify": "ssl4eo.cli.maps",
    "suggest": "ssl4eo.cli.assess",
    "assess-sample": "ssl4eo.cli.assess",
    "assess": "ssl4eo.cli.assess",
    "bench": "ssl4eo.cli.bench",
    "serve": "ssl4eo.cli.serve",
    "pretrain": "ssl4eo.cli.training",
    "evaluate": "ssl4eo.cli.training",
}


class _Group(click.Group):
    """Looks commands up in `_COMMANDS` and answers for their errors."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Name the commands in the order in which the work goes."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return the command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(
            importlib.import_module(_COMMANDS[cmd_name]), f"{cmd_name.replace('-', '_')}_command"
        )
        _add_debug(command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error becomes one sentence on standard error and an exit code."""
        try:
            with _terminate_like_interrupt():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            _fail(ctx, "Cancelled; nothing was written.", Cancelled.exit_code)
        except Ssl4eoError as error:
            _fail(ctx, str(error), error.exit_code)
        except MemoryError:
            _fail(ctx, "The memory is not enough; close other programs or choose a smaller extent.", 1)
        except Exception as error:  # noqa: BLE001 - a user gets a sentence for any fault, a developer adds --debug
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            _fail(ctx, f"ssl4eo failed inside ({reason}); run it again with --debug and report what it prints.", 1)


class _terminate_like_interrupt:  # noqa: N801 - used like contextlib's lower-case context managers
    """While it lasts, SIGTERM ends the work as Ctrl+C does, so that temporary files are removed."""

    def __enter__(self) -> None:
        self._before = None
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGTERM, self._interrupt)

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    @staticmethod
    def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt


def _fail(ctx: click.Context, sentence: str, exit_code: int) -> NoReturn:
    if ctx.meta.get("debug"):
        traceback.print_exc(file=sys.stderr)
    click.echo(f"Error: {sentence}", err=True)
    _give_up_full_stdout()
    ctx.exit(exit_code)


def _give_up_full_stdout() -> None:
    """Drop what standard output does not take, else Python tries again at its end and exits with 120."""
    try:
        sys.stdout.flush()
    except OSError:
        # As Python's documentation of SIGPIPE does (library/signal.html, "Note on SIGPIPE").
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _set_debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    # A context's `meta` is shared with its parents, so the group sees what was given to a command.
    if value:
        ctx.meta["debug"] = True


_DEBUG_HELP = "Show the traceback of an error."


def _add_debug(command: click.Command) -> None:
    # Users add the option at the end of a line that failed, so every command takes it, not the group alone.
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _add_debug(part)
    if any(parameter.name == "debug" for parameter in command.params):
        return
    option = click.Option(["--debug"], is_flag=True, expose_value=False, callback=_set_debug, help=_DEBUG_HELP)
    command.params.append(option)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@click.option("--debug", is_flag=True, expose_value=False, callback=_set_debug, help=_DEBUG_HELP)
def main() -> None:
    """Land-cover maps from Sentinel images with encoders pre-trained on SSL4EO-S12."""
