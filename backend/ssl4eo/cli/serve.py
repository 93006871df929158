# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo serve`: the HTTP service."""

from __future__ import annotations

import logging
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

__all__ = ["serve_command"]

_log = logging.getLogger(__name__)


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes a free port.")
@click.option("--token-file", type=click.Path(path_type=Path), help="Holds the access token; made when absent.")
@click.option("--watch-stdin", is_flag=True, help="Stop when standard input is closed.")
def serve_command(host: str, port: int, token_file: Path | None, watch_stdin: bool) -> None:
    """Serve the backend over HTTP.

    The first line on standard output tells the address, the log on standard error where the token is.
    """
    from ssl4eo.service.auth import read_or_create_token
    from ssl4eo.service.server import is_loopback, serve

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not is_loopback(host):
        _log.warning(
            "Listening on %s: other computers can reach this server, and the token travels unencrypted; use it only "
            "in a trusted network or through an encrypted tunnel.",
            host,
        )
    watch = sys.stdin.buffer if watch_stdin else None
    with ExitStack() as stack:
        if token_file is None:
            token_file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ssl4eo-"))) / "token"
        token = read_or_create_token(token_file)
        _log.info("The access token is in %s.", token_file.resolve())
        serve(host, port, token, watch=watch)
