# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may talk to the service: the bearer token, its file, and the host names that a request may carry."""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import JSONResponse

from ssl4eo.errors import InputError, OutputError

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LOOPBACK_HOSTS", "Gate", "read_or_create_token"]

# What a request to a loopback address carries as its Host header, without the port.
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})

# 256 bits: the length that Python's `secrets` module calls sufficient against brute force.
_TOKEN_BYTES = 32
_SHORTEST_TOKEN = 16

_log = logging.getLogger(__name__)


class Gate:
    """Lets a request through only with the right token and a host name that was meant.

    It stands before routing, so that unknown paths and the OpenAPI description need the token too. The host
    name is checked against DNS rebinding, in which a web page's own host name is made to point at this computer.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str] | None) -> None:
        """Guard `app`; `hosts` None allows any host name, for a server that listens to other computers."""
        self._app = app
        self._token = token.encode()
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 or 401, or hand the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        host = _without_port(headers.get("host", ""))
        if self._hosts is not None and host not in self._hosts:
            names = ", ".join(sorted(self._hosts))
            sentence = f"The host name {host!r} is not served here; use one of {names}."
            return JSONResponse({"error": sentence}, status_code=400)
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # compare_digest takes the same time wherever the first difference is.
        right = hmac.compare_digest(given.strip().encode(), self._token)
        if scheme.lower() != "bearer" or not right:
            sentence = (
                "The access token is missing or wrong; send the header `Authorization: Bearer TOKEN` with the "
                "token from this server's token file."
            )
            return JSONResponse({"error": sentence}, status_code=401, headers={"WWW-Authenticate": "Bearer"})
        return None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].lower() + "]"
    return host.partition(":")[0].lower()


def read_or_create_token(path: Path) -> str:
    """Return the token in `path`; when the file does not exist, make one that only its owner may read.

    Raises:
        InputError: when the file is not a token, or its folder does not exist.
        OutputError: when the file can be neither read nor written.
    """
    try:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _read_token(path)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(token + "\n")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"The folder of the token file {path} does not exist; create it first.") from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OutputError(f"Cannot read or write the token file {path} ({reason}); choose another file.") from error
    return token


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if len(token) < _SHORTEST_TOKEN or any(character.isspace() for character in token):
        raise InputError(
            f"The token file {path} does not hold one word of at least {_SHORTEST_TOKEN} ASCII characters; "
            "remove it to have a new one made."
        )
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        _log.warning("Other users of this computer may read the token file %s; run `chmod 600` on it.", path)
    return token
