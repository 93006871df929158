# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:harmonise` and `ssl4eo:inspect` inside QGIS against the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsRasterLayer,
)

processing = pytest.importorskip("processing")

TWELVE = "B01,B02,B03,B04,B05,B06,B07,B08,B09,B11,B12,B8A"


class Listener(QgsProcessingFeedback):
    """Keeps what an algorithm tells."""

    def __init__(self):
        super().__init__()
        self.said, self.warned, self.needed = [], [], []

    def pushInfo(self, info):  # noqa: N802
        self.said.append(info)

    def pushWarning(self, warning):  # noqa: N802
        self.warned.append(warning)

    def reportError(self, error, fatalError=False):  # noqa: ARG002, N802, N803
        self.needed.append(error)


@pytest.fixture
def patch(shared_data, tmp_path) -> Path:
    """A copy of a folder with one file per band."""
    source = shared_data / "bigearthnet" / "S2A_MSIL2A_20170617T113321_36_85"
    return Path(shutil.copytree(source, tmp_path / source.name))


def test_a_folder_of_bands_becomes_the_file_of_the_command_line(algorithms, run_backend, patch, tmp_path):
    out = tmp_path / "harmonised.tif"
    result = processing.run("ssl4eo:harmonise", {"INPUT": str(patch), "OUTPUT": str(out)})
    assert (result["OUTPUT"], result["SENSOR"], result["LEVEL"], result["BANDS"]) == (str(out), "S2", "L2A", TWELVE)
    assert result["SECONDS"] > 0
    run_backend("harmonise", patch, tmp_path / "cli.tif", "--json")
    np.testing.assert_array_equal(gdal.Open(str(out)).ReadAsArray(), gdal.Open(str(tmp_path / "cli.tif")).ReadAsArray())
    layer = QgsRasterLayer(str(out))
    assert layer.isValid()
    assert layer.bandName(12) == "Band 12: B8A"


def test_what_the_user_knows_better_reaches_the_backend(algorithms, shared_data, tmp_path):
    tile = shutil.copy(shared_data / "terramesh" / "S2L1C" / "637U_59R_1_3.tif", tmp_path)
    names = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12"]
    given = {
        "INPUT": str(tile),
        "BANDS": ",".join(f"{i}={name}" for i, name in enumerate(names, start=1)),
        "SCALE": 0.001,
        "OFFSET": -50.0,
        "NODATA": 0,
        "LEVEL": "L1C",
        "UNIT": "dn",
        "OUTPUT": str(tmp_path / "out.tif"),
    }
    assert processing.run("ssl4eo:harmonise", given)["BANDS"] == ",".join(names)
    before = gdal.Open(str(tile)).ReadAsArray().astype(int)
    found = gdal.Open(str(tmp_path / "out.tif")).ReadAsArray().astype(int)
    valid = (before[:10] != 0).all(axis=0) & (before[11:] != 0).all(axis=0)
    assert valid.any()
    np.testing.assert_array_equal(found[3][valid], np.clip((before[3][valid] - 50) * 10, 1, 65535))


def test_a_temporary_result_is_a_layer(algorithms, patch):
    context = QgsProcessingContext()
    result = processing.run("ssl4eo:harmonise", {"INPUT": str(patch), "OUTPUT": "TEMPORARY_OUTPUT"}, context=context)
    assert QgsProcessingUtils.mapLayerFromString(result["OUTPUT"], context).bandCount() == 12


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"INPUT": "/nowhere/scene"}, r"/nowhere/scene does not exist; check the path"),
        ({"OUTPUT": "out.png"}, r"out\.png is written as a GeoTIFF"),
        ({"LEVEL": "L9"}, "L9"),
    ],
)
def test_what_the_backend_refuses_is_its_own_sentence(algorithms, patch, tmp_path, parameters, words):
    given = {"INPUT": str(patch), "OUTPUT": "out.tif", **parameters}
    given["OUTPUT"] = str(tmp_path / given["OUTPUT"])
    with pytest.raises(QgsProcessingException, match=words) as caught:
        processing.run("ssl4eo:harmonise", given)
    assert "Traceback" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [patch.name]


@pytest.mark.parametrize("name", ["harmonise", "inspect"])
@pytest.mark.parametrize("bands", ["B02", "1=B02,1=B03", "x=B02", "1="])
def test_a_band_list_that_cannot_be_read_is_refused_before_anything_starts(algorithms, scene, tmp_path, name, bands):
    given = {"INPUT": scene, "BANDS": bands, "OUTPUT": str(tmp_path / "o.tif")}
    accepted, sentence = algorithms.algorithm(name).checkParameterValues(given, QgsProcessingContext())
    assert (accepted, "is not a band number" in sentence) == (False, True)


def test_inspect_tells_what_the_image_is(algorithms, scene):
    feedback = Listener()
    result = processing.run("ssl4eo:inspect", {"INPUT": scene}, feedback=feedback)
    assert (result["SENSOR"], result["LEVEL"], result["READY"]) == ("S2", "L1C", True)
    assert result["BANDS"].split(",")[8:11] == ["B8A", "B09", "B10"]
    assert {"Sensor: S2", "Level: L1C", "Divisor: 10000", "Offset: 0", "Size: 1536 x 768"} <= set(feedback.said)
    assert any(line.startswith("offset (read, certain): ") for line in feedback.said)
    assert not feedback.needed


def test_inspect_says_what_must_be_told_and_takes_it(algorithms, shared_data, tmp_path):
    label = shutil.copy(shared_data / "terramesh" / "DEM" / "637U_59R_1_3.tif", tmp_path)
    feedback = Listener()
    result = processing.run("ssl4eo:inspect", {"INPUT": str(label)}, feedback=feedback)
    assert (result["SENSOR"], result["BANDS"], result["READY"]) == ("", "?", False)
    assert len(feedback.needed) >= 1
    given = {"INPUT": str(label), "BANDS": "1=B04", "LEVEL": "L2A", "SCALE": 0.0001, "OFFSET": 0}
    told = processing.run("ssl4eo:inspect", given)
    assert (told["SENSOR"], told["LEVEL"], told["BANDS"], told["READY"]) == ("S2", "L2A", "B04", True)
    with pytest.raises(QgsProcessingException, match="B77"):
        processing.run("ssl4eo:inspect", {"INPUT": str(label), "BANDS": "1=B77"})
