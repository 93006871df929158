# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:encode` inside QGIS against the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsReferencedRectangle,
)

from tests.qgis.helpers import PATCH_BBOX

processing = pytest.importorskip("processing")
UTM33 = "EPSG:32633"


def pixels(folder, level):
    return gdal.Open(str(folder / f"level_{level}.tif")).ReadAsArray()


class Listener(QgsProcessingFeedback):
    """Keeps what an algorithm says it is doing."""

    def __init__(self):
        super().__init__()
        self.steps, self.told = [], []

    def setProgressText(self, text):  # noqa: N802
        self.steps.append(text)

    def pushInfo(self, text):  # noqa: N802
        self.told.append(text)


def test_it_gives_the_pixels_of_the_command_line(algorithms, scene, features, tmp_path):
    algorithms.backend.stop()
    feedback = Listener()
    progress = []
    feedback.progressChanged.connect(progress.append)
    out = tmp_path / "features"
    extent = QgsReferencedRectangle(QgsRectangle(*PATCH_BBOX), QgsCoordinateReferenceSystem(UTM33))
    result = processing.run(
        "ssl4eo:encode",
        {"INPUT": scene, "EXTENT": extent, "DEVICE": "cpu", "OUTPUT": str(out)},
        feedback=feedback,
    )
    assert result["OUTPUT"] == str(out)
    levels = json.loads(result["LEVELS"])
    assert (result["ENCODER"], result["DEVICE"]) == ("moco-resnet18w32-s2", "cpu")
    assert result["SECONDS"] > 0
    assert result["CACHED"] is False
    assert any(
        re.match(r"Encoded in [\d.]+ s on cpu \(asked for\) in \w+ \(this processor .*\)\.$", t) for t in feedback.told
    )
    assert len(levels) == len(list(out.glob("level_*.tif"))) > 2
    for level in range(len(levels)):
        np.testing.assert_array_equal(pixels(out, level), pixels(features, level))
    assert progress == sorted(progress)
    assert feedback.steps[0] == "Starting the backend"
    assert len(feedback.steps) == len(set(feedback.steps)) > 2


def test_components_and_the_projection_of_another_set_are_taken(algorithms, scene, tmp_path):
    """The left half gives its components to the right half; a folder that was made of the same is taken as it is."""
    west, south, east, north = PATCH_BBOX
    middle, crs = (west + east) / 2, QgsCoordinateReferenceSystem(UTM33)
    left, right = (
        QgsReferencedRectangle(QgsRectangle(*box), crs)
        for box in ((west, south, middle, north), (middle, south, east, north))
    )
    given = {"INPUT": scene, "EXTENT": left, "DEVICE": "cpu", "COMPONENTS": "8", "OUTPUT": str(tmp_path / "left")}
    made = processing.run("ssl4eo:encode", given)
    other = {**given, "EXTENT": right, "PROJECTION": str(tmp_path / "left"), "OUTPUT": str(tmp_path / "right")}
    taken = processing.run("ssl4eo:encode", other)
    assert json.loads(made["LEVELS"]) == json.loads(taken["LEVELS"])
    assert {level["components"] for level in json.loads(made["LEVELS"]) if level["kind"] == "features"} == {8}
    stored = [np.load(tmp_path / side / "projection.npz") for side in ("left", "right")]
    for name in stored[0]:
        np.testing.assert_array_equal(stored[0][name], stored[1][name])
    feedback = Listener()
    again = processing.run("ssl4eo:encode", other, feedback=feedback)
    assert (again["CACHED"], again["OUTPUT"]) == (True, str(tmp_path / "right"))
    assert f"Nothing to do: {tmp_path / 'right'} was made from the same scene, encoder and settings." in feedback.told


def test_the_modes_are_those_that_encoders_have(algorithms, cards):
    offered = algorithms.algorithm("encode").parameterDefinition("MODE").options()
    assert set(offered) == {mode for card in cards for mode in card["modes"]}


@pytest.mark.parametrize("components", ["0", "-1", "many", "1.5"])
def test_components_that_are_no_number_are_refused_before_anything_starts(algorithms, scene, tmp_path, components):
    algorithms.backend.stop()
    given = {"INPUT": scene, "COMPONENTS": components, "OUTPUT": str(tmp_path / "f")}
    accepted, sentence = algorithms.algorithm("encode").checkParameterValues(given, QgsProcessingContext())
    assert not accepted
    assert sentence == f"“{components}” in Components is neither a number from 1 on nor full; write one of them."
    assert not algorithms.backend.alive


def test_an_extent_in_degrees_covers_the_same_place(algorithms, scene, tmp_path):
    degrees = QgsCoordinateReferenceSystem("EPSG:4326")
    transform = QgsCoordinateTransform(QgsCoordinateReferenceSystem(UTM33), degrees, QgsProject.instance())
    wanted = QgsRectangle(333000, 5818120, 333640, 5818760)
    extent = QgsReferencedRectangle(transform.transformBoundingBox(wanted), degrees)
    out = tmp_path / "features"
    processing.run("ssl4eo:encode", {"INPUT": scene, "EXTENT": extent, "OUTPUT": str(out)})
    found = QgsRasterLayer(str(out / "level_0.tif")).extent()
    assert found.contains(wanted)
    # The box around a turned box is larger, yet by no more than the turn of the grid (1.4 degrees here) explains.
    assert found.width() < 1.2 * wanted.width()


def test_a_layer_of_the_project_and_band_names_are_taken(algorithms, shared_data, tmp_path, qgis_new_project):
    # A copy, because QGIS writes statistics beside an image.
    tile = shutil.copy(shared_data / "terramesh" / "S2L1C" / "637U_59R_1_3.tif", tmp_path)
    layer = QgsRasterLayer(str(tile), "tile")
    assert layer.bandCount() == 13
    qgis_new_project.addMapLayer(layer)
    bands = "1=B01,2=B02,3=B03,4=B04,5=B05,6=B06,7=B07,8=B08,9=B8A,10=B09,11=B10,12=B11,13=B12"
    out = tmp_path / "features"
    extent = QgsRectangle(layer.extent())
    extent.setXMaximum(extent.xMinimum() + 640)
    extent.setYMaximum(extent.yMinimum() + 640)
    parameters = {"INPUT": layer.id(), "EXTENT": extent, "BANDS": bands, "SCALE": 0.0001, "OFFSET": 0.0}
    processing.run("ssl4eo:encode", {**parameters, "OUTPUT": str(out)})
    assert QgsRasterLayer(str(out / "level_0.tif")).extent() == extent


def test_a_further_encoder_joins_on_another_scene(algorithms, scene, shared_data, tmp_path):
    """The second scene is another file of the same place: its pixels and levels follow those of the first."""
    other = shutil.copyfile(scene, tmp_path / "other.tif")
    extent = QgsReferencedRectangle(QgsRectangle(*PATCH_BBOX), QgsCoordinateReferenceSystem(UTM33))
    result = processing.run(
        "ssl4eo:encode",
        {
            "INPUT": scene,
            "EXTENT": extent,
            "ADD_ENCODER": "moco-resnet18w32-s2",
            "ADD_SCENE": str(other),
            "OUTPUT": str(tmp_path / "features"),
        },
    )
    levels = json.loads(result["LEVELS"])
    assert [level["scene"] for level in levels] == [0] * 6 + [1] * 6
    assert [level["stride"] for level in levels] == [1, 4, 4, 8, 16, 32] * 2
    for level in range(6):
        np.testing.assert_array_equal(pixels(tmp_path / "features", level), pixels(tmp_path / "features", level + 6))


def test_a_further_encoder_on_the_same_scene_is_passed_on(algorithms, scene, tmp_path):
    given = {"INPUT": scene, "ADD_ENCODER": "resnet-of-dreams", "OUTPUT": str(tmp_path / "f")}
    with pytest.raises(QgsProcessingException, match="resnet-of-dreams"):
        processing.run("ssl4eo:encode", given)


def test_a_further_scene_without_an_encoder_is_refused_before_anything_starts(algorithms, scene, tmp_path):
    algorithms.backend.stop()
    given = {"INPUT": scene, "ADD_SCENE": scene, "OUTPUT": str(tmp_path / "f")}
    accepted, sentence = algorithms.algorithm("encode").checkParameterValues(given, QgsProcessingContext())
    assert (accepted, "no further encoder" in sentence) == (False, True)
    assert not algorithms.backend.alive


@pytest.mark.parametrize("bands", ["B02", "1=B02,1=B03", "x=B02", "1="])
def test_a_band_list_that_cannot_be_read_is_refused_before_anything_starts(algorithms, scene, tmp_path, bands):
    algorithms.backend.stop()
    given = {"INPUT": scene, "BANDS": bands, "OUTPUT": str(tmp_path / "f")}
    accepted, sentence = algorithms.algorithm("encode").checkParameterValues(given, QgsProcessingContext())
    assert (accepted, "is not a band number" in sentence) == (False, True)
    with pytest.raises(QgsProcessingException, match="Bands is not a band number and a name; write them as"):
        processing.run("ssl4eo:encode", given)
    assert not algorithms.backend.alive
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"ENCODER": "resnet-of-dreams"}, "resnet-of-dreams"),
        ({"BANDS": "1=B77"}, "B77"),
        ({"DEVICE": "abacus"}, "abacus"),
        ({"MODE": "fast"}, "no mode 'fast'; choose one of: standard"),
        ({"PROJECTION": "/no/such/set"}, "/no/such/set"),
        ({"EXTENT": f"0,100,0,100 [{UTM33}]"}, "image|scene|outside"),
    ],
)
def test_what_the_backend_refuses_is_its_own_sentence(algorithms, scene, tmp_path, parameters, words):
    with pytest.raises(QgsProcessingException, match=words) as caught:
        processing.run("ssl4eo:encode", {"INPUT": scene, "OUTPUT": str(tmp_path / "f"), **parameters})
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "f").exists()


def test_a_layer_from_a_web_service_is_refused(algorithms, tmp_path, qgis_new_project):
    algorithms.backend.stop()
    layer = QgsRasterLayer("type=xyz&url=http://127.0.0.1:9/{z}/{x}/{y}.png", "a web map", "wms")
    qgis_new_project.addMapLayer(layer)
    with pytest.raises(QgsProcessingException, match=r"a web map.*wms.*GeoTIFF"):
        processing.run("ssl4eo:encode", {"INPUT": layer, "OUTPUT": str(tmp_path / "f")})
    assert not algorithms.backend.alive


def test_a_backend_that_stops_in_the_middle_is_one_sentence(algorithms, scene, tmp_path):
    feedback = QgsProcessingFeedback()

    def kill_once_it_runs(percent):
        if percent > 0 and algorithms.backend.alive:
            os.kill(algorithms.backend.pid, signal.SIGKILL)

    feedback.progressChanged.connect(kill_once_it_runs)
    sentence = r"^The backend stopped \(ended by signal 9\); run it again into the same folder to go on\.$"
    with pytest.raises(QgsProcessingException, match=sentence):
        processing.run("ssl4eo:encode", {"INPUT": scene, "OUTPUT": str(tmp_path / "f")}, feedback=feedback)
    assert not (tmp_path / "f").exists()


def test_cancel_stops_the_job_and_leaves_nothing(algorithms, scene, tmp_path):
    feedback = QgsProcessingFeedback()
    # The first steps are reported within a second; the whole scene takes many more.
    feedback.progressChanged.connect(lambda percent: percent > 0 and feedback.cancel())
    with pytest.raises(QgsProcessingException, match="Cancelled; nothing was written"):
        processing.run("ssl4eo:encode", {"INPUT": scene, "OUTPUT": str(tmp_path / "f")}, feedback=feedback)
    assert not list(tmp_path.iterdir())
    assert algorithms.backend.alive
