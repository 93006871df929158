# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the band files of a scene that lies on disk as a folder, a SAFE product or a zip of either."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path, PurePosixPath

from ssl4eo.bands import canonical_band
from ssl4eo.errors import InputError

__all__ = ["band_files", "band_of_file", "is_collection", "product_tags"]

# What GDAL's GTiff, JP2OpenJPEG, VRT and HFA drivers read; single bands are delivered in the first two.
_SUFFIXES = frozenset({".tif", ".tiff", ".jp2", ".vrt", ".img"})
# Where band files lie, the most telling place first: ESA's Sentinel-2 products (Products Specification Document,
# S2-PDGS-TAS-DI-PSD), whole or in part, ESA's Sentinel-1 products, and any folder.
_PLACES = (
    ("GRANULE/*/IMG_DATA/*", "GRANULE/*/IMG_DATA/R*m/*"),
    ("*.SAFE/GRANULE/*/IMG_DATA/*", "*.SAFE/GRANULE/*/IMG_DATA/R*m/*"),
    ("IMG_DATA/*", "IMG_DATA/R*m/*"),
    ("R10m/*", "R20m/*", "R60m/*"),
    ("measurement/*",),
    ("*.SAFE/measurement/*",),
    ("*",),
)
# Files beside the bands that are pictures, masks or other products: ESA's names, then those of catalogues.
_NO_BANDS = frozenset({
    "TCI", "SCL", "AOT", "WVP", "PVI", "CLD", "SNW", "CLDPRB", "SNWPRB", "MSK", "CLASSI", "DETFOO", "QUALIT", "QA10",
    "QA20", "QA60", "VISUAL", "PREVIEW", "THUMBNAIL", "BROWSE", "OVERVIEW", "QUICKLOOK", "CLOUD", "SNOW", "MASK",
})  # fmt: skip
# A SAFE product of level 2A holds 35 band files; a folder of many more is an archive of scenes.
_MOST_FILES = 60
_WORDS = re.compile(r"[^A-Za-z0-9]+")
_CODE = re.compile(r"(?<![A-Za-z])b\d", re.IGNORECASE)
# Fields of MTD_MSIL1C.xml and MTD_MSIL2A.xml, and the tags that they become.
_PRODUCT_FIELDS = {
    "PROCESSING_LEVEL": "processing_level",
    "PRODUCT_TYPE": "product_type",
    "PROCESSING_BASELINE": "processing_baseline",
    "RADIO_ADD_OFFSET": "radio_add_offset",
    "BOA_ADD_OFFSET": "boa_add_offset",
    "QUANTIFICATION_VALUE": "scale",
    "BOA_QUANTIFICATION_VALUE": "scale",
    "PRODUCT_START_TIME": "date",
}


def is_collection(path: str) -> bool:
    """Say whether `path` names a folder, a zip archive or a SAFE product's metadata, not a raster."""
    return Path(path).is_dir() or (Path(path).is_file() and (_is_zip(path) or _product_of(path) is not None))


def band_files(path: str) -> list[str]:
    """Return the band files of a folder, SAFE product or zip in the order of their names, as GDAL opens them.

    Files of other kinds are left out, as are true-colour pictures, masks and previews.

    Raises:
        InputError: when there is none, when there are too many for one scene, or when the zip is damaged.
    """
    root = _product_of(path) or path
    for place in _PLACES:
        found = [name for name in _listed(root, place) if _is_band(name)]
        if len(found) > _MOST_FILES:
            raise InputError(
                f"{path} holds {len(found)} raster files, too many for the bands of one scene; "
                "name the folder or the file of one scene."
            )
        if found:
            return sorted(found, key=lambda name: (PurePosixPath(name).name, name))
    raise InputError(
        f"{path} holds no band files (TIFF, JPEG 2000); name a raster, a SAFE product or a folder of bands."
    )


def band_of_file(name: str) -> str | None:
    """Return the band that a file's name tells, as in "T33UUU_20170216T102101_B8A_20m.jp2", or None."""
    stem = PurePosixPath(name.replace("\\", "/")).stem
    band = canonical_band(stem)
    # A code such as B4 that was refused here is refused for a reason.
    if band is not None or _CODE.search(stem):
        return band
    # Words name a band only at the end: "S2A_33UUU_20170216_0_L2A_red_edge_1".
    words = [word for word in _WORDS.split(stem) if not re.fullmatch(r"\d+m", word, re.IGNORECASE)]
    tails = ("_".join(words[-length:]) for length in (3, 2, 1))
    return next((band for band in map(canonical_band, tails) if band), None)


def product_tags(path: str) -> dict[str, str]:
    """Return what the metadata of a SAFE product say of all bands: level, baseline, scale, offset and date.

    The offset is left out where bands differ in it, which no published baseline does.
    """
    root = _product_of(path) or path
    names = _listed(root, ("MTD_MSIL*.xml", "*.SAFE/MTD_MSIL*.xml"))
    text = _text(root, names[0]) if names else ""
    tags: dict[str, str] = {}
    for field, tag in _PRODUCT_FIELDS.items():
        values = set(re.findall(rf"<{field}\b[^>]*>\s*([^<]*?)\s*</{field}>", text))
        if len(values) == 1:
            tags[tag] = values.pop()
    if "date" in tags:
        tags["date"] = tags["date"].partition("T")[0]
    return tags


def _product_of(path: str) -> str | None:
    """Return the folder of a SAFE product whose metadata file was named, else None."""
    file = Path(path)
    named = file.name == "manifest.safe" or re.fullmatch(r"MTD_MSIL\w+\.xml", file.name)
    return str(file.parent) if named and file.is_file() else None


def _is_zip(path: str) -> bool:
    return path.lower().endswith(".zip")


def _is_band(name: str) -> bool:
    file = PurePosixPath(name)
    words = set(_WORDS.split(file.stem.upper()))
    return file.suffix.lower() in _SUFFIXES and not file.name.startswith(".") and not words & _NO_BANDS


def _listed(root: str, patterns: tuple[str, ...]) -> list[str]:
    if not _is_zip(root):
        return [file.as_posix() for pattern in patterns for file in sorted(Path(root).glob(pattern)) if file.is_file()]
    try:
        with zipfile.ZipFile(root) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{root} is not a zip archive that can be read ({error}); fetch it again.") from error
    # A relative pattern matches from the right, so it does not matter which folder the archive wraps all in.
    chosen = [name for name in names if any(PurePosixPath(name).match(pattern) for pattern in patterns)]
    return [f"/vsizip/{{{Path(root).absolute().as_posix()}}}/{name}" for name in sorted(chosen)]


def _text(root: str, name: str) -> str:
    if not _is_zip(root):
        return Path(name).read_text("utf-8", errors="replace")
    with zipfile.ZipFile(root) as archive:
        return archive.read(name.partition("}/")[2]).decode("utf-8", errors="replace")
