# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the network for a file: proxies and certificates as the environment says, read on a thread that can be left."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import socket
import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import httpx2
import truststore

from ssl4eo import __version__
from ssl4eo.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Address", "Exchange", "Head", "InsecureRedirect", "make_client", "shown"]

# Where companies name the certificates of their own authority: OpenSSL, requests and curl each have a name for it.
_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
# Blocks of at most 64 KiB (httpcore2) that wait to be written: 4 MiB ride out a busy disk.
_BLOCKS_WAITING = 64
_POLL_SECONDS = 0.2
# They log whole addresses, with the password of a mirror and the signed query of a redirect.
_TALKATIVE = ("httpx2", "httpcore2")


class InsecureRedirect(Exception):
    """An https address led to one without encryption."""


@dataclass(frozen=True)
class Head:
    """The status and headers of an answer."""

    status: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Address:
    """Where a file is asked for; as text it is what may be shown and stored.

    Attributes:
        url: may hold credentials.
        published: whether it stands in a card, and so holds no secret: Google Drive's query is the file's id.
    """

    url: str = field(repr=False)
    published: bool = False

    @property
    def insecure(self) -> bool:
        """Whether it asks without encryption, and may lead to where there is none."""
        return urlsplit(self.url).scheme == "http"

    def __str__(self) -> str:
        return shown(self.url, keep_query=self.published)


def shown(url: str, *, keep_query: bool = False) -> str:
    """Return an address as it may be shown and stored: without user, password and fragment, and query unless asked.

    Raises:
        ValueError: when it cannot be taken apart.
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query=parts.query if keep_query else "", fragment="").geturl()


def make_client(*, connect: float, stall: float, insecure: bool = False) -> httpx2.Client:
    """Return a client that follows redirects, with the environment's proxies and certificates.

    From then on its library logs warnings only, in the whole process: below that it logs credentials.

    Args:
        connect: seconds to wait for a connection.
        stall: seconds to wait for the next byte.
        insecure: whether addresses without encryption are allowed.

    Raises:
        InputError: when the environment names a proxy or certificates that cannot be used.
    """

    def only_encrypted(request: httpx2.Request) -> None:
        if not insecure and request.url.scheme != "https":
            raise InsecureRedirect(f"leads to {shown(str(request.url))}, which is not encrypted")

    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(logging.WARNING)
    context = _tls_context()
    try:
        return httpx2.Client(
            verify=context,
            follow_redirects=True,
            timeout=httpx2.Timeout(connect, read=stall),
            headers={"User-Agent": f"ssl4eo/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
            event_hooks={"request": [only_encrypted]},
        )
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        # The address may hold a password, so it is not shown.
        raise InputError(
            "The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names cannot be used; give it as "
            "http://host:port or https://host:port."
        ) from error


def _tls_context() -> ssl.SSLContext:
    """Trust what the system trusts, and what the environment names besides."""
    context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for variable in _CERTIFICATE_VARIABLES:
        named = os.environ.get(variable)
        if not named:
            continue
        try:
            if Path(named).is_dir():
                context.load_verify_locations(capath=named)
            else:
                context.load_verify_locations(cafile=named)
        except OSError as error:
            # ssl.SSLError is an OSError.
            raise InputError(
                f"{variable} names {named}, which cannot be read as certificates; correct the variable or unset it."
            ) from error
    return context


class _Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Exchange:
    """One request, whose answer is read on a thread of its own: who waits for it can leave at any moment.

    A read that blocks cannot be interrupted in Python; here the thread that reads ends by itself when its socket is
    shut or its timeout has passed.
    """

    def __init__(self, client: httpx2.Client, url: str, headers: Mapping[str, str]) -> None:
        """Send the request; the client is closed with the exchange."""
        self._client, self._url, self._headers = client, url, headers
        self._arrived: queue.Queue[Head | bytes | Exception | None] = queue.Queue(_BLOCKS_WAITING)
        self._left = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="download", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        # A thread that still connects is left to its timeout.
        self._thread.join(_POLL_SECONDS)

    def wait(self) -> Head | bytes | None:
        """Return the head, then block by block the body, then None; b"" when nothing came for a fifth of a second.

        Raises:
            Exception: what the request or the reading raised.
        """
        try:
            arrived = self._arrived.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return b""
        if isinstance(arrived, Exception):
            raise arrived
        return arrived

    def _run(self) -> None:
        try:
            with self._client, self._client.stream("GET", self._url, headers=self._headers) as answer:
                network = answer.extensions.get("network_stream")
                self._socket = network.get_extra_info("socket") if network is not None else None
                self._put(Head(answer.status_code, answer.headers))
                for block in answer.iter_raw():
                    self._put(block)
            self._put(None)
        except _Abandoned:
            return
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            with contextlib.suppress(_Abandoned):
                self._put(error)

    def _put(self, item: Head | bytes | Exception | None) -> None:
        while not self._left.is_set():
            try:
                self._arrived.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return
        raise _Abandoned
