# SPDX-License-Identifier: GPL-2.0-or-later
"""The FastAPI application: routes behind the gate, and every error as one sentence of JSON."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ssl4eo import __version__
from ssl4eo.errors import InputError, Ssl4eoError
from ssl4eo.service.auth import LOOPBACK_HOSTS, Gate
from ssl4eo.service.views import make_router

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ssl4eo.jobs import JobQueue

__all__ = ["create_app"]

_VALUE_SHOWN = 60

_log = logging.getLogger(__name__)


def create_app(queue: JobQueue, token: str, hosts: Collection[str] | None = LOOPBACK_HOSTS) -> FastAPI:
    """Return the service.

    Args:
        queue: runs the jobs; the caller shuts it down.
        token: what every request must carry as `Authorization: Bearer TOKEN`.
        hosts: the host names a request may name, without port; None allows any.
    """
    # No documentation pages: they load scripts from elsewhere and a browser could not send the token.
    app = FastAPI(title="SSL4EO", version=__version__, docs_url=None, redoc_url=None)
    app.include_router(make_router(queue))
    app.add_exception_handler(RequestValidationError, _bad_body)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Ssl4eoError, _known_error)
    app.add_exception_handler(Exception, _unknown_error)
    app.add_middleware(Gate, token=token, hosts=hosts)
    return app


def _error(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence.rstrip(".") + "."}, status_code=status, headers=headers)


async def _bad_body(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _error(400, describe_fault(first))


def describe_fault(fault: Mapping[str, Any]) -> str:
    """Return one sentence for one of pydantic's faults: which field, what is wrong, and its value."""
    if fault["type"] == "json_invalid":
        return "The request body is not valid JSON; send one JSON object with Content-Type application/json."
    # pydantic puts the name of the union's member (encode, classify) after "body".
    where = ".".join(str(part) for part in fault["loc"][1:]) or "the request body"
    if fault["type"] == "missing":
        return f"{where} is missing; add it to the request body."
    if fault["type"] == "extra_forbidden":
        return f"{where} is not a known parameter; remove it or correct its name."
    message = str(fault["msg"]).removeprefix("Value error, ")
    value = repr(fault.get("input"))
    shown = value if len(value) <= _VALUE_SHOWN else value[:_VALUE_SHOWN] + "..."
    return f"{where} cannot be {shown}: {message[:1].lower()}{message[1:]}."


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = str(error.detail)
    if sentence == HTTPStatus(error.status_code).phrase:
        sentence = f"{sentence}: see /openapi.json for the paths and methods of this server"
    return _error(error.status_code, sentence, error.headers)


async def _known_error(_request: Request, error: Exception) -> JSONResponse:
    return _error(400 if isinstance(error, InputError) else 500, str(error))


async def _unknown_error(_request: Request, error: Exception) -> JSONResponse:
    # Starlette logs the traceback by raising the error again after this answer.
    return _error(500, f"The backend failed inside ({type(error).__name__}: {error}); see its log.")
