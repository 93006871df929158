# SPDX-License-Identifier: GPL-2.0-or-later
"""Find the band files of a scene that lies on disk as a folder, a SAFE product or a zip of either."""

from __future__ import annotations

import re
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import IO

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
    "QA20", "QA60", "PREVIEW", "THUMBNAIL", "BROWSE", "OVERVIEW", "QUICKLOOK", "MASK",
})  # fmt: skip
# The same where the name tells no band: "cloud_free_B02" is one.
_HARDLY_BANDS = frozenset({"VISUAL", "CLOUD", "SNOW"})
# A SAFE product of level 2A holds 35 band files; a folder of many more is an archive of scenes.
_MOST_FILES = 60
_WORDS = re.compile(r"[^A-Za-z0-9]+")
# ESA's metadata of a product are 0.1 MB; ten times that is no such file.
_MOST_METADATA = 1_000_000
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
    return canonical_band(PurePosixPath(name.replace("\\", "/")).stem, tail=True)


def product_tags(path: str) -> dict[str, str]:
    """Return what the metadata of a SAFE product say of all bands: level, baseline, scale, offset and date.

    The offset is left out where bands differ in it, which no published baseline does.
    """
    root = _product_of(path) or path
    names = _listed(root, ("MTD_MSIL*.xml", "*.SAFE/MTD_MSIL*.xml"))
    text = _text(root, names[0]) if names else ""
    tags: dict[str, str] = {}
    for field, tag in _PRODUCT_FIELDS.items():
        values = {value.strip() for value in re.findall(rf"<{field}\b[^<>]*>([^<]*)</{field}>", text)}
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
    if file.suffix.lower() not in _SUFFIXES or file.name.startswith(".") or words & _NO_BANDS:
        return False
    return not words & _HARDLY_BANDS or band_of_file(name) is not None


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
    """Return the beginning of a text file, which may lie in a zip.

    Raises:
        InputError: when it cannot be read.
    """
    try:
        with ExitStack() as stack:
            if _is_zip(root):
                archive = stack.enter_context(zipfile.ZipFile(root))
                file: IO[bytes] = stack.enter_context(archive.open(name.partition("}/")[2]))
            else:
                file = stack.enter_context(Path(name).open("rb"))
            return file.read(_MOST_METADATA).decode("utf-8", errors="replace")
    # What zipfile raises of a damaged, an encrypted and an oddly packed member.
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise InputError(f"{name} cannot be read ({error}); fetch the product again.") from error
