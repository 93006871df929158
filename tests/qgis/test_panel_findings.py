# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Imagery step says of a radar image and of what was found how, and the form that corrects it."""

from __future__ import annotations

import shutil

import pytest
from osgeo import gdal
from qgis.PyQt.QtTest import QTest

from ssl4eo_plugin.panel.findings import doubts, how_sure
from tests.qgis.panel_helpers import told
from tests.qgis.test_panel_imagery import facts, inspect

# The lowest number of 32 bits, which many programs write for no data.
LOWEST = -3.4028234663852886e38


@pytest.fixture(scope="module")
def radar(shared_data, tmp_path_factory) -> str:
    """A copy of a real Sentinel-1 scene in decibels."""
    source = shared_data / "sen1floods11" / "Spain_7370579_S1Hand.tif"
    return str(shutil.copyfile(source, tmp_path_factory.mktemp("radar") / "radar.tif"))


@pytest.fixture
def form(dock, radar):
    """The form over the radar image."""
    inspect(dock, radar)
    return dock.imagery.bands


def test_a_radar_image_is_described_as_one(dock, form):
    page = dock.imagery
    assert page.title.text() == "<b>Sentinel-1 GRD</b>"
    assert page.titleMark.text() == "level assumed, unsure"
    assert "RTC" in page.titleMark.toolTip()
    assert (facts(page)["Bands"], facts(page)["Values"]) == ("VV, VH", "decibels")
    assert dock.show_step("features")


def test_the_form_says_how_each_value_was_found(form):
    assert (form.levelMark.text(), form.unitMark.text()) == ("assumed, unsure", "inferred, certain")
    assert form.levelLabel.toolTip() == form.levelMark.toolTip() != ""
    assert not form.bandsMark.isVisibleTo(form)
    # Decibels have no offset.
    assert not form.offset.isVisibleTo(form)
    assert form.unit.isVisibleTo(form)
    assert [form.level.itemData(row) for row in range(form.level.count())] == ["GRD", "RTC"]


def test_radar_values_are_told_and_kept(dock, form):
    page = dock.imagery
    form.level.setCurrentIndex(form.level.findData("RTC"))
    form.unit.setCurrentIndex(form.unit.findData("linear"))
    QTest.keyClicks(form.nodata, "-9x9")
    info, failed = told(page, form.applyButton.click, "inspected")
    assert failed is None
    assert (info["level"], info["unit"], info["nodata"]) == ("RTC", "linear", -99)
    assert page.titleMark.text() == ""
    assert form.levelMark.text() == "as you said"
    assert dock.state.scene.overrules == {"level": "RTC", "unit": "linear", "scale": 1, "nodata": -99}
    # As in the file.
    info, _none = told(page, form.resetButton.click, "inspected")
    assert (info["level"], info["unit"], info["nodata"]) == ("GRD", "db", None)
    assert dock.state.scene.overrules == {}


def test_what_was_read_for_certain_is_not_sent_back(dock, image):
    inspect(dock, image)
    form = dock.imagery.bands
    assert not form.unit.isVisibleTo(form)
    assert form.offset.isVisibleTo(form)
    assert form.told() == {"nodata": 0}
    form.offset.setValue(-1000)
    assert form.told() == {"nodata": 0, "offset": -1000}
    form.choose(["B02", "B01", *[f"B{number:02d}" for number in range(3, 9)]])
    assert form.told()["bands"]["1"] == "B02"


@pytest.fixture
def odd(image, tmp_path) -> str:
    """A part of the scene with a scale and a value for no data that no short number writes."""
    path = str(tmp_path / "odd.tif")
    part = gdal.Translate(path, image, srcWin=[0, 0, 64, 64], outputType=gdal.GDT_Float32, noData=LOWEST)
    part.SetMetadata({})
    for band in range(1, part.RasterCount + 1):
        part.GetRasterBand(band).SetScale(1 / 36363.63636)
    part.FlushCache()
    return path


def test_what_nobody_touched_is_sent_as_it_was_found(dock, odd):
    info, _none = inspect(dock, odd)
    form = dock.imagery.bands
    found = {"scale": info["quantification"], "nodata": info["nodata"]}
    assert found == {"scale": 36363.63636, "nodata": LOWEST}
    assert float(form.nodata.text()) == LOWEST
    # Both were read for certain.
    assert not set(found) & set(form.told())
    # What was told is said again with the next Apply.
    told(dock.imagery, lambda: dock.imagery.set_overrules(**found), "inspected")
    form.level.setCurrentIndex(form.level.findData("L2A"))
    info, failed = told(dock.imagery, form.applyButton.click, "inspected")
    assert failed is None
    assert {name: dock.state.scene.overrules[name] for name in found} == found
    assert (info["quantification"], info["nodata"], info["level"]) == (36363.63636, LOWEST, "L2A")
    form.scale.setValue(10000)
    form.nodata.setText("-9999")
    assert {name: form.told()[name] for name in found} == {"scale": 10000, "nodata": -9999}
    form.nodata.clear()
    assert "nodata" not in form.told()


def test_a_short_number_is_written_short(form):
    for value, text in ((0.0, "0"), (-9999.0, "-9999"), (65535.0, "65535"), (1234567.0, "1234567.0")):
        form.set_info({**form._info, "nodata": value})
        assert form.nodata.text() == text


def test_doubts_name_their_fields_only_where_they_differ():
    info = {
        "findings": [
            {"field": "quantification", "how": "inferred", "confidence": "likely", "because": "a"},
            {"field": "offset", "how": "inferred", "confidence": "likely", "because": "b"},
            {"field": "unit", "how": "told", "confidence": "certain", "because": "c"},
            {"field": "level", "how": "assumed", "confidence": "unsure", "because": "d"},
        ]
    }
    assert doubts(info, "quantification", "offset") == "inferred, likely"
    assert doubts(info, "offset", "unit") == "offset inferred, likely"
    assert doubts(info, "offset", "level") == "offset inferred, likely; level assumed, unsure"
    assert doubts(info, "unit") == doubts(info, "bands") == how_sure(info, "bands") == ""
    assert how_sure(info, "unit") == "as you said"
