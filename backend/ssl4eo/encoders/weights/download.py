# SPDX-License-Identifier: GPL-2.0-or-later
"""Download the weights of an encoder: which addresses to ask, and proof that what came is what the card names."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import httpx2

from ssl4eo.encoders.weights.answers import NoFile
from ssl4eo.encoders.weights.client import Address, shown
from ssl4eo.encoders.weights.local import PART_SUFFIX, compare_checksum, find, parts, record_of, remedy, state_of
from ssl4eo.encoders.weights.partial import Partial
from ssl4eo.encoders.weights.recognise import require_fit
from ssl4eo.encoders.weights.records import checksum, folder_of, held
from ssl4eo.encoders.weights.transfer import Patience, transfer
from ssl4eo.encoders.weights.upkeep import install
from ssl4eo.errors import InputError, Ssl4eoError
from ssl4eo.jobs import Progress, no_progress, part

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ssl4eo.encoders.cards import Card, WeightFile
    from ssl4eo.encoders.weights.records import Verified

__all__ = ["DownloadError", "download"]

# What transfer, and then hashing, take of the progress.
_TRANSFERRED = 0.95
_HUGGING_FACE = "huggingface.co"


class DownloadError(Ssl4eoError):
    """No address gave the weights."""


def download(
    card: Card, *, mirror: str | None = None, progress: Progress = no_progress, patience: Patience | None = None
) -> dict[str, Any]:
    """Bring the weights of an encoder into the cache, unless they are here and intact.

    A download that was cut off or cancelled is continued. Another one of the same encoder is waited for.

    Args:
        card: the encoder.
        mirror: the address of a server that holds the files below the paths of their own addresses or by their names;
            then nothing else is asked. Else SSL4EO_MIRROR, or for Hugging Face HF_ENDPOINT.
        progress: gets the fraction, megabytes and speed.
        patience: how long and how often to try.

    Returns:
        `encoder`, `path`, `sha256`, `verified` ("published checksum" or "tensors"), `source`, `seconds`.

    Raises:
        InputError: for an encoder that cannot be downloaded, a mirror that is no address, and a proxy or certificates
            in the environment that cannot be used.
        DownloadError: when no address gave the file; says why of each, and what to do.
        OutputError: when the disk is too small or cannot be written.
    """
    started = time.monotonic()
    # Before the lock, which nobody can take in a folder that is shared to be read only.
    found = _already_here(card, progress)
    if found is None:
        plan = list(_plan(card, mirror or os.environ.get("SSL4EO_MIRROR")))
        with held(card, progress):
            # Another one may have brought it meanwhile.
            found = _already_here(card, progress) or _fetch(card, plan, progress, patience or Patience())
    return {**found, "seconds": round(time.monotonic() - started, 3)}


def _plan(card: Card, mirror: str | None) -> Iterator[tuple[WeightFile, Address]]:
    """Yield files and addresses in the order in which they are asked."""
    files = [file for file in card.files if file.url]
    if not files:
        raise InputError(f"The weights of {card.id} cannot be downloaded; {remedy(card)}.")
    if mirror:
        base = _checked_base(mirror, "The mirror")
        for file in files:
            original, by_name = urlsplit(file.url), f"/{quote(file.name)}"
            # Where the query names the file, the path does not.
            paths = (by_name,) if original.query else (original.path, by_name)
            for path in dict.fromkeys(paths):
                yield file, Address(base + path)
        return
    endpoint = os.environ.get("HF_ENDPOINT")
    for file in files:
        if endpoint and urlsplit(file.url).hostname == _HUGGING_FACE:
            yield file, Address(_checked_base(endpoint, "HF_ENDPOINT") + urlsplit(file.url).path)
        else:
            yield file, Address(file.url, published=True)


def _checked_base(address: str, name: str) -> str:
    try:
        url = urlsplit(address)
        fits = url.scheme in ("http", "https") and url.hostname and url.port != 0 and not url.query and not url.fragment
        # What else would fail only when it is asked: hosts that are no names.
        httpx2.URL(address)
        (url.hostname or "").encode("idna")
        value = f" {shown(address)!r}"
    except (ValueError, httpx2.InvalidURL):
        # Where a password ends in what cannot be taken apart is not known.
        fits, value = False, "" if set("@?#") & set(address) else f" {address!r}"
    if not fits:
        raise InputError(f"{name}{value} is no address; give one such as https://mirror.example/weights.")
    return address.rstrip("/")


def _already_here(card: Card, progress: Progress) -> dict[str, Any] | None:
    path = find(card)
    if path is None or state_of(card) == "damaged":
        return None
    expected, actual = compare_checksum(card, path, part(progress, 0.0, 0.0))
    record = record_of(card, path)
    if actual != expected or record is None:
        return None
    return _result(card, path, actual, record.verified, record.source)


def _fetch(
    card: Card, plan: list[tuple[WeightFile, Address]], progress: Progress, patience: Patience
) -> dict[str, Any]:
    faults: list[str] = []
    for file, address in plan:
        partial = Partial(folder_of(card) / f"{file.name}{PART_SUFFIX}")
        try:
            transfer(
                address,
                partial,
                expected_mb=file.size_mb,
                patience=patience,
                progress=part(progress, 0.0, _TRANSFERRED),
            )
            sha256, verified = _prove(card, file, partial, part(progress, _TRANSFERRED, 1.0))
        except NoFile as fault:
            faults.append(f"{address} {fault}")
            continue
        local = install(card, partial.path, file.name, sha256=sha256, source=str(address), verified=verified)
        for left in (partial.path, *parts(card)):
            Partial(left).forget()
        return _result(card, local.path, sha256, verified, str(address))
    names = " or ".join(dict.fromkeys(file.name for file, _ in plan))
    raise DownloadError(
        f"The weights of {card.id} could not be downloaded: {'; '.join(dict.fromkeys(faults))}; try again later, or "
        f"get {names} by hand and run `ssl4eo weights import FILE --as {card.id}`."
    )


def _prove(card: Card, file: WeightFile, partial: Partial, progress: Progress) -> tuple[str, Verified]:
    """Return the checksum of a complete file and how it was found to be the right one; delete it when it is not.

    Raises:
        NoFile: when it is another file than the card names.
    """
    sha256 = checksum(partial.path, progress)
    if file.sha256:
        if sha256.startswith(file.sha256):
            return sha256, "published checksum"
        partial.forget()
        raise NoFile(f"sent another file, now deleted: its sha256 is {sha256}, the published one is {file.sha256}")
    try:
        require_fit(card, partial.path)
    except InputError as error:
        partial.forget()
        raise NoFile(f"sent another file, now deleted: {str(error).rstrip('.')}") from error
    return sha256, "tensors"


def _result(card: Card, path: Path, sha256: str, verified: Verified, source: str) -> dict[str, Any]:
    return {"encoder": card.id, "path": str(path), "sha256": sha256, "verified": verified, "source": source}
