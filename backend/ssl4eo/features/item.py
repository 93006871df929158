# SPDX-License-Identifier: GPL-2.0-or-later
"""item.json: a STAC item that says where a feature set comes from and how it was made."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.warp import transform_bounds

from ssl4eo import __version__
from ssl4eo.features.store import ITEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ssl4eo.encoders.encoder import Encoder
    from ssl4eo.features.projection import Projection
    from ssl4eo.features.tiling import LevelGrid
    from ssl4eo.grid import Window
    from ssl4eo.scenes.scene import Scene

__all__ = ["level_entries", "write_item"]

_PROJECTION_FILE = "projection.npz"
# SpatioTemporal Asset Catalog specification: https://github.com/radiantearth/stac-spec, item-spec, v1.0.0.
_STAC_VERSION = "1.0.0"
_COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
# Enough of a file to tell two scenes apart without reading gigabytes.
_FINGERPRINT_BYTES = 1 << 20


def level_entries(levels: Sequence[tuple[LevelGrid, list[str]]]) -> list[dict[str, Any]]:
    """Return index, stride, file and number of components per level."""
    return [
        {"level": index, "stride": grid.stride, "file": f"level_{index}.tif", "components": len(names)}
        for index, (grid, names) in enumerate(levels)
    ]


def write_item(
    folder: Path,
    name: str,
    scene: Scene,
    encoder: Encoder,
    extent: Window,
    levels: Sequence[tuple[LevelGrid, list[str]]],
    warnings: Sequence[str],
    projections: Sequence[Projection],
) -> None:
    """Write item.json and the projection beside the levels."""
    _write_projection(folder / _PROJECTION_FILE, projections)
    grid = scene.grid.subgrid(extent)
    bbox = [round(value, 7) for value in transform_bounds(grid.crs, "EPSG:4326", *grid.bounds)]
    west, south, east, north = bbox
    created = datetime.now(UTC).isoformat(timespec="seconds")
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
            "datetime": _datetime(scene.info.date) or created,
            "created": created,
            "ssl4eo:software": f"ssl4eo {__version__}",
            "ssl4eo:encoder": encoder.card.to_dict(),
            "ssl4eo:weights_sha256": encoder.weights_sha256,
            "ssl4eo:device": str(encoder.device),
            "ssl4eo:precision": encoder.precision,
            "ssl4eo:scene": {**scene.info.to_dict(), "fingerprint": _fingerprint(scene.info.path)},
            "ssl4eo:date_known": _datetime(scene.info.date) is not None,
            "ssl4eo:window": [extent.col, extent.row, extent.width, extent.height],
            "ssl4eo:levels": entries,
            "ssl4eo:warnings": list(warnings),
            "proj:code": scene.info.crs,
            "proj:shape": [extent.height, extent.width],
            "proj:transform": list(grid.transform)[:6],
        },
        "links": [],
        "assets": {
            **{
                f"level_{entry['level']}": {
                    "href": f"./{entry['file']}",
                    "type": _COG_TYPE,
                    "roles": ["data"],
                }
                for entry in entries
            },
            "projection": {"href": f"./{_PROJECTION_FILE}", "roles": ["metadata"]},
        },
    }
    (folder / ITEM).write_text(json.dumps(item, indent=1), encoding="utf-8")


def _write_projection(path: Path, projections: Sequence[Projection]) -> None:
    arrays = {}
    for level, projection in enumerate(projections, start=1):
        arrays[f"mean_{level}"] = projection.mean
        arrays[f"components_{level}"] = projection.components
        arrays[f"variance_{level}"] = projection.variance
    np.savez(path, allow_pickle=False, **arrays)


def _datetime(text: str | None) -> str | None:
    try:
        parsed = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    if parsed is None:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).isoformat()


def _fingerprint(path: str) -> str | None:
    if not Path(path).is_file():
        return None
    with Path(path).open("rb") as stream:
        digest = hashlib.sha256(stream.read(_FINGERPRINT_BYTES))
    digest.update(str(Path(path).stat().st_size).encode())
    return digest.hexdigest()
