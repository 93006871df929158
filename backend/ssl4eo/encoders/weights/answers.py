# SPDX-License-Identifier: GPL-2.0-or-later
"""What an answer or a failure of the network means: no file here, or try again."""

from __future__ import annotations

import email.utils
import re
import socket
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import httpx2

from ssl4eo.encoders.weights.client import InsecureRedirect

if TYPE_CHECKING:
    from ssl4eo.encoders.weights.client import Head

__all__ = ["PARTIAL_CONTENT", "RANGE_UNFIT", "NoFile", "TryAgain", "judge_error", "judge_status", "refuse_page"]

_Kind = TypeVar("_Kind", bound=BaseException)

PARTIAL_CONTENT, RANGE_UNFIT = 206, 416

_NO_FILE = {
    401: "wants a sign-in (401)",
    403: "is forbidden (403)",
    404: "is not there (404)",
    407: "was not reached, because the proxy wants a user and password (407)",
    410: "is no longer there (410)",
}
# The server, or one before it, says that it may go better later (RFC 9110, section 15; RFC 6585, section 4).
_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
# How web pages begin; no checkpoint does.
_PAGE = re.compile(rb"\s*(<!doctype\s+html|<html|<head)", re.IGNORECASE)
_PAGE_REASON = "answered with a web page instead of the file (a sign-in, a warning or a limit)"


class NoFile(Exception):
    """An address gives no file; reads as the end of a sentence that begins with the address."""


class TryAgain(Exception):
    """A try failed in a way that another may not.

    Attributes:
        wait: what the server asked for, in seconds.
        nameless: whether the name of the host could not be looked up, as without a network.
    """

    def __init__(self, reason: str, wait: float | None = None, *, nameless: bool = False) -> None:
        super().__init__(reason)
        self.wait = wait
        self.nameless = nameless


def judge_status(head: Head) -> None:
    """Raise `NoFile` or `TryAgain` for everything but a file, whole (200) or in part (206), or a range that is not."""
    status = head.status
    if status in (200, PARTIAL_CONTENT):
        if head.headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html":
            raise NoFile(_PAGE_REASON)
    elif status in _LATER:
        raise TryAgain(f"answered {status}", _retry_after(head.headers.get("retry-after")))
    elif status != RANGE_UNFIT:
        raise NoFile(_NO_FILE.get(status, f"answered {status}"))


def refuse_page(beginning: bytes) -> None:
    """Raise `NoFile` when a body that claims to be a file begins as a web page does."""
    if _PAGE.match(beginning):
        raise NoFile(_PAGE_REASON)


def judge_error(error: Exception) -> NoFile | TryAgain:
    """Return what a failure to connect or read means: certificates do not mend themselves, connections may."""
    untrusted = _cause(error, ssl.SSLCertVerificationError)
    if untrusted is not None:
        return NoFile(
            f"has a certificate that this computer does not trust ({untrusted.verify_message}); if a company's proxy "
            "opens the connection, name its certificate in SSL_CERT_FILE"
        )
    if isinstance(error, InsecureRedirect):
        return NoFile(str(error))
    if isinstance(error, httpx2.ProxyError):
        return NoFile(f"was not reached, because the proxy refused ({error})")
    if isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol):
        return TryAgain(_broken(error), nameless=_cause(error, socket.gaierror) is not None)
    circle = isinstance(error, httpx2.TooManyRedirects)
    return NoFile("leads in a circle" if circle else f"cannot be asked ({type(error).__name__})")


def _broken(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.ReadTimeout):
        return "stopped sending"
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
        return f"cannot be reached ({str(error) or 'no answer'})"
    return "broke the connection off"


def _cause(error: BaseException | None, kind: type[_Kind]) -> _Kind | None:
    """Return what of a kind an error rests on, or None."""
    while error is not None:
        if isinstance(error, kind):
            return error
        error = error.__cause__ or error.__context__
    return None


def _retry_after(text: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((date - datetime.now(UTC)).total_seconds(), 0.0) if date.tzinfo else None
