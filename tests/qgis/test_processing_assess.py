# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:suggest`, `ssl4eo:assesssample` and `ssl4eo:assess` inside QGIS."""

from __future__ import annotations

import pytest
from qgis.core import QgsProcessingException, QgsVectorLayer

processing = pytest.importorskip("processing")


@pytest.fixture(scope="module")
def land_cover(features, osm, tmp_path_factory, run_backend):
    out = tmp_path_factory.mktemp("assessed") / "map.tif"
    run_backend("classify", features, osm, out, "--class-field", "fclass", "--head", "lda", "--json")
    return out


def test_points_are_drawn_answered_and_counted(algorithms, land_cover, tmp_path):
    points = str(tmp_path / "points.gpkg")
    drawn = processing.run(
        "ssl4eo:assesssample", {"MAP": str(land_cover), "STANDARD_ERROR": 0.05, "PER_CLASS": 4, "OUTPUT": points}
    )
    layer = QgsVectorLayer(f"{points}|layername=samples", "points", "ogr")
    assert layer.featureCount() == drawn["POINTS"] > 8
    column = layer.fields().lookupField("class")
    layer.dataProvider().changeAttributeValues({feature.id(): {column: "forest"} for feature in layer.getFeatures()})
    report = tmp_path / "report.html"
    found = processing.run("ssl4eo:assess", {"MAP": str(land_cover), "SAMPLES": points, "REPORT": str(report)})
    assert found["POINTS"] == drawn["POINTS"]
    assert 0 < found["ACCURACY"] < 1
    assert "forest" in report.read_text("utf-8")


def test_places_are_suggested_as_a_layer(algorithms, features, tmp_path):
    found = processing.run(
        "ssl4eo:suggest", {"FEATURES": str(features), "COUNT": 3, "OUTPUT": str(tmp_path / "next.gpkg")}
    )
    layer = QgsVectorLayer(found["OUTPUT"], "next", "ogr")
    assert sorted(feature["rank"] for feature in layer.getFeatures()) == [1, 2, 3]
    assert all(feature["reason"] for feature in layer.getFeatures())


def test_what_the_backend_refuses_is_its_own_sentence(algorithms, land_cover, tmp_path):
    with pytest.raises(QgsProcessingException, match=r"ends in \.gpkg"):
        processing.run("ssl4eo:assesssample", {"MAP": str(land_cover), "OUTPUT": str(tmp_path / "points.shp")})
