# SPDX-License-Identifier: GPL-2.0-or-later
"""item.json: a STAC item that says where a feature set comes from and how it was made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.warp import transform_bounds

from ssl4eo import __version__
from ssl4eo.features.identity import fingerprint
from ssl4eo.features.store import ITEM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.run import StoredLevel
    from ssl4eo.grid import Grid, Window
    from ssl4eo.scenes.info import SceneInfo

__all__ = ["PROJECTION_FILE", "encoder_entry", "level_entries", "write_item"]

PROJECTION_FILE = "projection.npz"
# What an encoder's entry says of how it was run.
_OF_THE_RUN = ("weights_sha256", "device", "device_reason", "precision", "precision_reason", "mode", "batch")
# SpatioTemporal Asset Catalog specification: https://github.com/radiantearth/stac-spec, item-spec, v1.0.0.
_STAC_VERSION = "1.0.0"
_GEOTIFF = "image/tiff; application=geotiff"


def level_entries(levels: Sequence[StoredLevel]) -> list[dict[str, Any]]:
    """Return what each level is, in JSON form.

    Per level: `level` (its number), `kind` ("pixels", "surroundings" or "features"), `stride`, `file`, `components`,
    `scene` (number in `ssl4eo:scenes`), `encoder` (id, or None for the pixels of the scene) and `block` (stage of a
    ResNet or block of a transformer, or None).
    """
    return [
        {
            "level": level.index,
            "kind": level.kind,
            "stride": level.grid.stride,
            "file": level.file,
            "components": len(level.names),
            "scene": level.scene,
            "encoder": level.encoder,
            "block": level.block,
        }
        for level in levels
    ]


def encoder_entry(encoder: Encoder, mode: str, batch: int) -> dict[str, Any]:
    """Return an encoder's card, the checksum of its weights and how it was run, in JSON form."""
    return {
        **encoder.card.to_dict(),
        "weights_sha256": encoder.weights_sha256,
        "device": str(encoder.device),
        "device_reason": encoder.device_reason,
        "precision": encoder.precision,
        "precision_reason": encoder.precision_reason,
        "mode": mode,
        "batch": batch,
    }


def write_item(
    folder: Path,
    name: str,
    grid: Grid,
    extent: Window,
    scenes: Sequence[SceneInfo],
    encoders: Sequence[dict[str, Any]],
    levels: Sequence[StoredLevel],
    warnings: Sequence[str],
    facts: dict[str, Any],
) -> None:
    """Write item.json and the projections beside the levels.

    Args:
        folder: where the levels lie.
        name: identifier of the item.
        grid: that of level 0.
        extent: its place in the first scene, in pixels.
        scenes: the scenes, the first one first.
        encoders: the `encoder_entry` of each encoder, the first one first.
        levels: the levels in order.
        warnings: sentences about the scenes and bands.
        facts: further properties of the item, of which `ssl4eo:key` tells whether the same was made before.
    """
    _write_projections(folder / PROJECTION_FILE, levels)
    bbox = [round(value, 7) for value in transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)]
    west, south, east, north = bbox
    entries = level_entries(levels)
    item = {
        "type": "Feature",
        "stac_version": _STAC_VERSION,
        "stac_extensions": [],
        "id": name,
        "bbox": bbox,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "properties": {
            **_dates(scenes[0].date),
            "ssl4eo:software": {"ssl4eo": __version__, **_libraries()},
            **_sources(scenes, encoders),
            "ssl4eo:window": [extent.col, extent.row, extent.width, extent.height],
            "ssl4eo:levels": entries,
            "ssl4eo:warnings": list(warnings),
            **facts,
            "proj:code": scenes[0].crs,
            "proj:shape": [extent.height, extent.width],
            "proj:transform": list(grid.transform)[:6],
        },
        "links": [],
        "assets": {
            **{
                f"level_{entry['level']}": {"href": f"./{entry['file']}", "type": _GEOTIFF, "roles": ["data"]}
                for entry in entries
            },
            "projection": {"href": f"./{PROJECTION_FILE}", "roles": ["metadata"]},
        },
    }
    (folder / ITEM).write_text(json.dumps(item, indent=1), encoding="utf-8")


def _sources(scenes: Sequence[SceneInfo], encoders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the first scene and encoder, which name the set, and the lists of all."""
    described = [{**info.to_dict(), "fingerprint": fingerprint(info)} for info in scenes]
    first = dict(encoders[0])
    run = {f"ssl4eo:{key}": first.pop(key) for key in _OF_THE_RUN}
    return {
        "ssl4eo:encoder": first,
        **run,
        "ssl4eo:scene": described[0],
        "ssl4eo:encoders": list(encoders),
        "ssl4eo:scenes": described,
    }


def _write_projections(path: Path, levels: Sequence[StoredLevel]) -> None:
    arrays = {}
    for level in levels:
        if level.projection is not None:
            arrays[f"mean_{level.index}"] = level.projection.mean
            arrays[f"components_{level.index}"] = level.projection.components
            arrays[f"variance_{level.index}"] = level.projection.variance
    np.savez(path, allow_pickle=False, **arrays)


def _libraries() -> dict[str, str]:
    """Return the versions of what the values depend on."""
    return {name: version(name) for name in ("torch", "timm", "rasterio", "numpy")}


def _dates(date: str | None) -> dict[str, Any]:
    known, created = _datetime(date), datetime.now(UTC).isoformat(timespec="seconds")
    return {"datetime": known or created, "created": created, "ssl4eo:date_known": known is not None}


def _datetime(text: str | None) -> str | None:
    try:
        parsed = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if parsed is None:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat()
