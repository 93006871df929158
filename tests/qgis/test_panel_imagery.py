# SPDX-License-Identifier: GPL-2.0-or-later
"""The Imagery step with the real backend: what a scene is, what it lacks, and what is refused."""

from __future__ import annotations

import pytest
from osgeo import gdal
from qgis.core import QgsProject, QgsRasterLayer
from qgis.PyQt.QtWidgets import QLabel, QWidget

from ssl4eo_plugin.engine.process import BackendProcess
from ssl4eo_plugin.panel.dock import Ssl4eoDock
from ssl4eo_plugin.panel.findings import found
from tests.qgis.panel_helpers import serve_until, told


def cells(page) -> dict[str, QWidget]:
    """The cells of the table by the names of their rows."""
    roles = (page.facts.ItemRole.LabelRole, page.facts.ItemRole.FieldRole)
    rows = [[page.facts.itemAt(row, role).widget() for role in roles] for row in range(page.facts.rowCount())]
    return {name.text(): cell for name, cell in rows}


def facts(page) -> dict[str, str]:
    """The table as it is read: a value, and in a second line what is not certain of it."""
    labels = {
        name: [cell] if isinstance(cell, QLabel) else cell.findChildren(QLabel) for name, cell in cells(page).items()
    }
    return {name: "\n".join(label.text() for label in found) for name, found in labels.items()}


def inspect(dock, path):
    return told(dock.imagery, lambda: dock.imagery.open_file(str(path)), "inspected")


@pytest.fixture
def unnamed(image, tmp_path):
    """The first ten bands of the scene without a name, a scale or a level."""
    path = str(tmp_path / "unnamed.tif")
    window = gdal.Translate("", image, format="MEM", bandList=list(range(1, 11)), srcWin=[0, 0, 64, 64])
    window.SetMetadata({})
    for band in range(1, 11):
        window.GetRasterBand(band).SetDescription("")
    gdal.GetDriverByName("GTiff").CreateCopy(path, window, options=["PROFILE=GeoTIFF"]).FlushCache()
    return path


def test_the_panel_starts_with_the_image_and_nothing_else(dock):
    assert dock.step() == "imagery"
    assert [dock.show_step(name) for name in ("features", "labels", "map")] == [False, False, False]
    assert dock.imagery.note.sentence().startswith("Choose a Sentinel-2 or Sentinel-1 image")
    assert not dock.imagery.card.isVisible()


def test_a_scene_is_described(dock, image):
    info, _none = inspect(dock, image)
    page = dock.imagery
    assert info == page.info
    assert "Sentinel-2 Level-1C, 2017-02-16" in page.title.text()
    assert facts(page) == {
        "Size": "1536 × 768 px of 10 m",
        "Extent": "15.4 × 7.7 km",
        "CRS": "EPSG:32633, WGS 84 / UTM zone 33N",
        "Bands": "all 13 of Sentinel-2",
        "Values": "reflectance = DN / 10000",
        "No data": "0\nassumed, likely",
    }
    assert cells(page)["No data"].findChild(QLabel).toolTip() == found(info, "nodata")["because"]
    assert page.note.sentence() == page.needs.sentence() == page.simulated.sentence() == ""
    assert dock.show_step("features")


def test_an_opened_image_is_shown_in_true_colour(dock, image):
    inspect(dock, image)
    renderer = dock.imagery.layer().renderer()
    assert (renderer.redBand(), renderer.greenBand(), renderer.blueBand()) == (4, 3, 2)


def test_unnamed_bands_are_asked_for_and_can_be_told(dock, unnamed):
    inspect(dock, unnamed)
    page = dock.imagery
    assert page.needs.sentence() == (
        "The 10 bands have no names that say which Sentinel band they are; choose them below."
    )
    assert page.needs.level == "error"
    assert not page.bandsGroup.isCollapsed()
    assert not dock.show_step("features")
    page.bands.choose(["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", None])
    page.bands.scale.setValue(1000)
    info, _none = told(page, page.bands.applyButton.click, "inspected")
    assert info["bands"] == ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", None]
    assert info["quantification"] == 1000
    assert page.needs.sentence() == ""
    assert dock.show_step("features")
    assert dock.state.scene.overrules == {
        "bands": {str(index): name for index, name in enumerate(info["bands"], 1) if name},
        # What nobody touched is looked for now that the bands are known.
        "scale": 1000,
    }


def test_the_offset_is_looked_for_once_the_bands_are_told(dock, unnamed):
    raised = gdal.Open(unnamed, gdal.GA_Update)
    for band in range(1, 11):
        values = raised.GetRasterBand(band).ReadAsArray() + 1000
        # Deep shade, whose values tell.
        values[:8] = 1040
        raised.GetRasterBand(band).WriteArray(values)
    raised.FlushCache()
    del raised
    inspect(dock, unnamed)
    page = dock.imagery
    page.bands.choose(["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09"])
    info, _none = told(page, page.bands.applyButton.click, "inspected")
    assert info["offset"] == -1000


def test_what_was_told_is_kept_with_the_layer(dock, unnamed):
    inspect(dock, unnamed)
    layer, page = dock.imagery.layer(), dock.imagery
    told(page, lambda: page.set_overrules({"1": "B02"}, 10000, 0), "inspected")
    page.set_layer(None)
    assert dock.state.scene is None
    info, _none = told(page, lambda: page.set_layer(layer), "inspected")
    assert info["bands"][0] == "B02"


def test_bands_told_twice_are_refused_and_what_was_there_stays(dock, image):
    before, _none = inspect(dock, image)
    page = dock.imagery
    _none, sentence = told(page, lambda: page.set_overrules({"1": "B02", "2": "B02"}), "inspected")
    assert "B02" in sentence
    assert (page.note.sentence(), page.note.level) == (sentence, "error")
    assert page.info == before
    assert dock.state.scene.ready


def test_a_simulated_scene_says_so(dock, image, tmp_path):
    path = str(tmp_path / "simulated.tif")
    copy = gdal.Translate(path, image, srcWin=[0, 0, 32, 32])
    copy.SetMetadataItem("SIMULATED", "YES")
    copy.FlushCache()
    del copy
    inspect(dock, path)
    assert dock.imagery.simulated.sentence() == "Simulated scene: not a real place."


def test_a_picture_from_a_service_is_refused(dock):
    layer = QgsRasterLayer("type=xyz&url=https://tile.invalid/{z}/{x}/{y}.png", "Streets", "wms")
    QgsProject.instance().addMapLayer(layer)
    _none, sentence = told(dock.imagery, lambda: dock.imagery.set_layer(layer), "inspected")
    assert sentence == (
        "“Streets” is a picture from a service (wms), without the measured values an encoder needs; "
        "choose a Sentinel image file."
    )
    assert dock.imagery.note.sentence() == sentence
    assert not dock.show_step("features")


def test_a_file_that_is_no_raster_is_refused(dock, tmp_path):
    path = tmp_path / "text.tif"
    path.write_text("no raster")
    _none, sentence = inspect(dock, path)
    assert "text.tif” is not a raster" in sentence
    assert QgsProject.instance().mapLayers() == {}


def test_only_the_last_choice_counts(dock, image, unnamed):
    layers = [QgsRasterLayer(path, path[-8:], "gdal") for path in (image, unnamed)]
    QgsProject.instance().addMapLayers(layers)
    answers = []
    dock.imagery.inspected.connect(answers.append)
    dock.imagery.set_layer(layers[0])
    dock.imagery.set_layer(layers[1])
    serve_until(lambda: dock.state.scene is not None and not dock.state.runner.busy())
    assert [info["path"] for info in answers] == [unnamed]


def test_a_backend_that_cannot_start_is_one_sentence(qgis_iface, qgis_new_project, image, tmp_path):
    backend = BackendProcess([str(tmp_path / "no-such-program")], tmp_path / "logs")
    dock = Ssl4eoDock(qgis_iface, backend)
    _none, sentence = inspect(dock, image)
    assert "no-such-program” cannot be run" in sentence
    assert dock.imagery.note.level == "error"
    # Hidden, the panel has no other way to tell.
    assert sentence in str(qgis_iface.messageBar().get_messages(1))
    dock.shutdown()
    dock.deleteLater()
    QgsProject.instance().clear()


def test_the_plugins_own_layers_are_no_images_to_encode(dock, encoded):
    dock.features.use(encoded)
    box = dock.imagery.layerBox
    names = [box.itemText(row) for row in range(box.count())]
    assert QgsProject.instance().mapLayersByName("Features: havel-1")
    assert names == ["Choose a raster layer"]
