# SPDX-License-Identifier: GPL-2.0-or-later
"""What a feature set is made from, so that the same is not made twice and an interrupted run knows its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssl4eo import __version__
from ssl4eo.features.store import ITEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl4eo.features.run import Run
    from ssl4eo.grid import Window
    from ssl4eo.scenes.info import SceneInfo

__all__ = ["FORMAT", "Identity", "digest_of", "fingerprint", "made_before"]

# Raised when the same scene, encoder and settings give other levels than before.
FORMAT = 2
# Enough of a file's beginning and end, with its size and time of change, to tell two scenes apart without reading
# gigabytes.
_FINGERPRINT_BYTES = 1 << 20
# What of a scene's description decides its values.
_DECIDES = ("sensor", "level", "bands", "quantification", "offset", "unit", "nodata")


@dataclass(frozen=True)
class Identity:
    """Digests, None if unknown: `key` of scenes, encoders and settings, `run` also of what may change the last bit."""

    key: str | None
    run: str | None


def digest_of(
    extent: Window,
    infos: Sequence[SceneInfo],
    runs: Sequence[Run],
    weights: Sequence[str],
    precision: str,
    **circumstances: Any,
) -> Identity:
    """Return the identity of a feature set that is to be made.

    Args:
        extent: the part of the first scene.
        infos: the scenes.
        runs: what is done with them.
        weights: per run, the sha256 of the encoder's file.
        precision: of the network.
        circumstances: device, threads, batch and the like.
    """
    prints = [fingerprint(info) for info in infos]
    if None in prints:
        # What is not a file may change without a trace.
        return Identity(None, None)
    made_from = {
        "format": FORMAT,
        "scenes": [
            {"fingerprint": print_, **{name: info.to_dict()[name] for name in _DECIDES}}
            for print_, info in zip(prints, infos, strict=True)
        ],
        "extent": [extent.col, extent.row, extent.width, extent.height],
        "runs": [
            [run.card.id, sha256, run.number, run.mode.name, run.components, _projections(run)]
            for run, sha256 in zip(runs, weights, strict=True)
        ],
        "precision": precision,
    }
    return Identity(_sha256(made_from), _sha256({**made_from, "software": __version__, **circumstances}))


def made_before(target: Path, key: str | None, *, beside: bool) -> Path | None:
    """Return a finished feature set with this key: at `target`, or else, if asked, in a folder beside it."""
    if key is None:
        return None
    siblings = sorted(target.parent.glob(f"*/{ITEM}")) if beside else []
    for item in (target / ITEM, *siblings):
        try:
            properties = json.loads(item.read_text(encoding="utf-8"))["properties"]
            files = [item.parent / level["file"] for level in properties["ssl4eo:levels"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        # A folder that begins with a dot is a run that is not finished.
        if properties.get("ssl4eo:key") == key and all(file.is_file() for file in files) and item.parent.name[0] != ".":
            return item.parent
    return None


def fingerprint(info: SceneInfo) -> str | None:
    """Return a digest of a scene's files, or None when one is no plain file."""
    files = [Path(file) for file in info.files or (info.path,)]
    digest = hashlib.sha256()
    try:
        for file in files:
            with file.open("rb") as stream:
                digest.update(stream.read(_FINGERPRINT_BYTES))
                stream.seek(max(file.stat().st_size - _FINGERPRINT_BYTES, 0))
                digest.update(stream.read(_FINGERPRINT_BYTES))
            status = file.stat()
            digest.update(f"{status.st_size} {status.st_mtime_ns}".encode())
    except OSError:
        return None
    return digest.hexdigest()


def _projections(run: Run) -> str | None:
    if run.projections is None:
        return None
    digest = hashlib.sha256()
    for projection in run.projections:
        digest.update(projection.mean.tobytes() + projection.components.tobytes())
    return digest.hexdigest()


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
