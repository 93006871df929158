# SPDX-License-Identifier: GPL-2.0-or-later
"""Decide from tags, band names and pixel values what a raster holds, and say what had to be assumed."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from ssl4eo.bands import canonical_band
from ssl4eo.errors import InputError
from ssl4eo.scenes.info import SceneInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

__all__ = ["inspect", "inspect_dataset", "open_raster"]

# ESA's Level-1C and Level-2A products store reflectance x 10000 (QUANTIFICATION_VALUE in the product metadata).
_QUANTIFICATION = 10000.0
# RADIO_ADD_OFFSET / BOA_ADD_OFFSET since processing baseline 04.00 (January 2022).
_BASELINE_OFFSET = -1000.0
# Cirrus reflectance over land is about 0.002 (SSL4EO-S12 L1C mean of B10, DN 22), so a first percentile near
# 1000 DN can only be the offset.
_B10_OFFSET_FLOOR = 900.0
# Side of the reduced picture that percentiles are read from: 1e4 to 1e5 pixels are enough for a percentile.
_PREVIEW = 256
# The encoders saw 10 m pixels; 20 % is the smallest zoom in their augmentation (RandomResizedCrop from 264 to 224).
_GSD, _GSD_TOLERANCE = 10.0, 0.2
_METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class _Radiometry:
    quantification: float
    offset: float
    unit: str
    warnings: tuple[str, ...]


@contextmanager
def open_raster(path: str | os.PathLike[str]) -> Iterator[DatasetReader]:
    """Open a raster for reading.

    Raises:
        InputError: when the file is missing or GDAL reads no raster in it.
    """
    import warnings

    text = os.fspath(path)
    # GDAL also reads "/vsicurl/..." and "DRIVER:..." names, which are no files; only a plain path can be looked up.
    if not text.startswith("/vsi") and ":" not in text[2:] and not Path(text).exists():
        raise InputError(f"{text} does not exist; check the path.")
    if Path(text).is_dir():
        raise InputError(f"{text} is a folder; name the raster file in it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(text)
    except RasterioIOError as error:
        raise InputError(f"{text} is not a raster that GDAL can read; use a GeoTIFF with named bands.") from error
    with dataset:
        if dataset.count == 0:
            raise InputError(f"{text} holds no raster band; name one of its subdatasets or another file.")
        yield dataset


def inspect(
    path: str | os.PathLike[str],
    *,
    bands: Mapping[int, str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> SceneInfo:
    """Say what a raster holds.

    Args:
        path: a raster that GDAL reads.
        bands: canonical names by band number (from 1) that overrule the file.
        scale: overrules the file: reflectance = (DN + offset) * scale; a value over 1 is taken as the divisor.
        offset: overrules the file, in DN.

    Raises:
        InputError: for a missing file, a file that is no raster, or an overruling that makes no sense.
    """
    with open_raster(path) as dataset:
        return inspect_dataset(dataset, os.fspath(path), bands=bands, scale=scale, offset=offset)


def inspect_dataset(
    dataset: DatasetReader,
    path: str,
    *,
    bands: Mapping[int, str] | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> SceneInfo:
    """As `inspect`, of an open dataset."""
    names = _band_names(dataset, bands or {})
    sensor = "S2" if any(names) else None
    tags = {key.lower(): value for key, value in dataset.tags().items()}
    nodata = _nodata(dataset)
    radiometry = _radiometry(dataset, names, tags, nodata, scale, offset)
    needs = _needs(dataset, path, names)
    return SceneInfo(
        path=path,
        sensor=sensor,
        level=_level(tags, names),
        bands=names,
        quantification=radiometry.quantification,
        offset=radiometry.offset,
        unit=radiometry.unit,
        nodata=nodata,
        width=dataset.width,
        height=dataset.height,
        crs=dataset.crs.to_string() if dataset.crs else None,
        resolution=(abs(dataset.res[0]), abs(dataset.res[1])),
        bounds=tuple(dataset.bounds),
        simulated=tags.get("simulated", "").upper() == "YES",
        date=tags.get("date"),
        warnings=(*radiometry.warnings, *_resolution_warnings(dataset)),
        needs=needs,
    )


def _band_names(dataset: DatasetReader, overrule: Mapping[int, str]) -> tuple[str | None, ...]:
    names = [canonical_band(text) for text in dataset.descriptions]
    for number, text in overrule.items():
        name = canonical_band(text)
        if not 1 <= number <= dataset.count:
            raise InputError(f"There is no band {number}: the image has {dataset.count}; correct the band list.")
        if name is None:
            raise InputError(f"{text!r} is not a Sentinel-2 band; use names such as B02, B8A or B11.")
        names[number - 1] = name
    for name in {name for name in names if name}:
        if names.count(name) > 1:
            where = ", ".join(str(i + 1) for i, other in enumerate(names) if other == name)
            raise InputError(f'Bands {where} are all named {name}; say which is which, as in "1=B02,2=B03".')
    return tuple(names)


def _needs(dataset: DatasetReader, path: str, names: tuple[str | None, ...]) -> tuple[str, ...]:
    needs = []
    if dataset.crs is None:
        needs.append(
            f"{path} has no coordinate reference system; assign the right one to the file, "
            "for example with gdal_edit.py -a_srs EPSG:32633."
        )
    if not any(names):
        if dataset.dtypes[0] == "uint8" and dataset.count in (3, 4):
            needs.append(
                f"{path} has {dataset.count} unnamed 8-bit bands, like a photo or a screenshot; "
                "use the Sentinel-2 image itself, with its reflectance bands."
            )
        else:
            example = ",".join(f"{i}={name}" for i, name in zip((1, 2, 3), ("B02", "B03", "B04"), strict=True))
            needs.append(
                f"The {dataset.count} bands of {path} have no names that say which Sentinel-2 band they are; "
                f'tell with --bands "{example},..." or name the bands in the file.'
            )
    return tuple(needs)


def _level(tags: Mapping[str, str], names: tuple[str | None, ...]) -> str | None:
    tagged = tags.get("level", "").upper()
    if tagged in ("L1C", "L2A"):
        return tagged
    # Level-2A products never hold the cirrus band.
    return "L1C" if "B10" in names else None


def _nodata(dataset: DatasetReader) -> float | None:
    if dataset.nodata is not None:
        return None if math.isnan(dataset.nodata) else float(dataset.nodata)
    # DN 0 is "no data" in ESA's products (SPECIAL_VALUE_INDEX of NODATA).
    return 0.0 if np.issubdtype(np.dtype(dataset.dtypes[0]), np.integer) else None


def _radiometry(
    dataset: DatasetReader,
    names: tuple[str | None, ...],
    tags: Mapping[str, str],
    nodata: float | None,
    scale: float | None,
    offset: float | None,
) -> _Radiometry:
    warnings: list[str] = []
    quantification, unit = _quantification(dataset, tags, scale, warnings)
    if offset is None:
        offset = _tagged_offset(dataset, tags, quantification)
    if offset is None:
        offset = _offset_from_cirrus(dataset, names, nodata, unit, warnings)
    return _Radiometry(quantification, offset, unit, tuple(warnings))


def _quantification(
    dataset: DatasetReader, tags: Mapping[str, str], scale: float | None, warnings: list[str]
) -> tuple[float, str]:
    if scale is not None:
        if not math.isfinite(scale) or scale <= 0:
            raise InputError(f"The scale {scale:g} is not positive; give for example 0.0001 for DN / 10000.")
        quantification = scale if scale > 1 else 1 / scale
    else:
        tagged = _number(tags.get("scale")) or (dataset.scales[0] if dataset.scales[0] != 1 else None)
        if tagged is not None and tagged > 0:
            quantification = tagged if tagged > 1 else 1 / tagged
        elif np.issubdtype(np.dtype(dataset.dtypes[0]), np.floating) and _percentile(dataset, 1, 99, None) < 10:
            quantification = 1.0
        else:
            quantification = _QUANTIFICATION
            warnings.append("No scale is written in the file: assumed reflectance = DN / 10000.")
    return round(quantification, 6), "reflectance" if quantification == 1 else "dn"


def _tagged_offset(dataset: DatasetReader, tags: Mapping[str, str], quantification: float) -> float | None:
    tagged = _number(tags.get("offset"))
    if tagged is None and dataset.offsets[0] != 0:
        tagged = dataset.offsets[0]
    if tagged is None:
        return None
    # -0.1 is in units of reflectance, -1000 in DN.
    return round(tagged * quantification, 6) if abs(tagged) < 1 else tagged


def _offset_from_cirrus(
    dataset: DatasetReader,
    names: tuple[str | None, ...],
    nodata: float | None,
    unit: str,
    warnings: list[str],
) -> float:
    if unit != "dn" or "B10" not in names:
        return 0.0
    floor = _percentile(dataset, names.index("B10") + 1, 1, nodata)
    if not floor >= _B10_OFFSET_FLOOR:
        return 0.0
    warnings.append(
        f"The darkest cirrus values (B10) are near {floor:.0f}: the +1000 of processing baseline 04.00 is still "
        "in the file and is subtracted."
    )
    return _BASELINE_OFFSET


def _percentile(dataset: DatasetReader, band: int, percent: float, nodata: float | None) -> float:
    step = max(1, math.ceil(max(dataset.width, dataset.height) / _PREVIEW))
    shape = (math.ceil(dataset.height / step), math.ceil(dataset.width / step))
    values: NDArray[np.float64] = dataset.read(band, out_shape=shape).astype(np.float64)
    values = values[np.isfinite(values) & (values != nodata)]
    return float(np.percentile(values, percent)) if values.size else math.nan


def _resolution_warnings(dataset: DatasetReader) -> list[str]:
    if dataset.crs is None:
        return []
    metres = abs(dataset.res[1]) * (_METRES_PER_DEGREE if dataset.crs.is_geographic else 1)
    if abs(metres / _GSD - 1) <= _GSD_TOLERANCE:
        return []
    return [f"Pixels are about {metres:.3g} m; the encoders were trained on 10 m pixels, so expect poorer features."]


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) else None
