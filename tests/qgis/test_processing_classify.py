# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:classify` inside QGIS against the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsRendererCategory,
    QgsVectorFileWriter,
    QgsVectorLayer,
)

from ssl4eo_plugin.processing.sources import write_samples

processing = pytest.importorskip("processing")


@pytest.fixture(scope="module")
def expected(backend_command, features, osm, tmp_path_factory, run_backend):
    """The map that the command line makes of all OSM polygons."""
    out = tmp_path_factory.mktemp("expected") / "map.tif"
    told = run_backend("classify", features, osm, out, "--class-field", "fclass", "--head", "lda", "--json")
    return out, told


@pytest.fixture
def run(algorithms, features, tmp_path):
    """Run the algorithm with the given samples and return its outputs."""

    def classify(samples, **parameters):
        return processing.run(
            "ssl4eo:classify",
            {
                "FEATURES": str(features),
                "SAMPLES": samples,
                "CLASS_FIELD": "fclass",
                "HEAD": "lda",
                "OUTPUT": str(tmp_path / "map.tif"),
                **parameters,
            },
        )

    return classify


@pytest.fixture
def memory(osm, qgis_new_project):
    """The OSM polygons as a layer in memory, in the project."""
    layer = QgsVectorLayer(str(osm), "osm").materialize(QgsFeatureRequest())
    layer.setName("samples in memory")
    qgis_new_project.addMapLayer(layer)
    return layer


def pixels(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_a_file_of_samples_gives_the_pixels_of_the_command_line(run, osm, expected):
    result = run(str(osm))
    out, told = expected
    np.testing.assert_array_equal(pixels(result["OUTPUT"]), pixels(out))
    assert json.loads(result["CLASSES"]) == told["classes"]
    assert len(told["classes"]) > 2
    assert (result["HEAD"], result["SAMPLES_USED"]) == (told["head"], told["samples"])
    layer = QgsRasterLayer(result["OUTPUT"], "map")
    assert layer.isValid()
    assert layer.crs() == QgsCoordinateReferenceSystem("EPSG:32633")


def test_a_layer_in_memory_gives_them_too(run, memory, expected, temp_root):
    result = run(memory)
    np.testing.assert_array_equal(pixels(result["OUTPUT"]), pixels(expected[0]))
    assert not [path for path in temp_root.rglob("*") if path.is_file()]


def test_keys_that_repeat_after_a_merge_do_no_harm(run, memory, expected):
    key = memory.fields().lookupField("fid")
    assert key >= 0
    memory.startEditing()
    for feature in memory.getFeatures():
        memory.changeAttributeValue(feature.id(), key, 1)
    memory.commitChanges()
    np.testing.assert_array_equal(pixels(run(memory)["OUTPUT"]), pixels(expected[0]))


def test_one_layer_of_a_file_with_two(run, osm, expected, tmp_path, qgis_new_project):
    both = tmp_path / "both.gpkg"
    actions = QgsVectorFileWriter.ActionOnExistingFile
    for name, action in (("wanted", actions.CreateOrOverwriteFile), ("other", actions.CreateOrOverwriteLayer)):
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.layerName, options.actionOnExistingFile = name, action
        source = QgsVectorLayer(str(osm), name)
        if name == "other":
            source.setSubsetString("fclass = 'water'")
        QgsVectorFileWriter.writeAsVectorFormatV3(source, str(both), QgsCoordinateTransformContext(), options)
    result = run(f"{both}|layername=wanted")
    np.testing.assert_array_equal(pixels(result["OUTPUT"]), pixels(expected[0]))


def test_only_the_selection_counts_when_asked(run, memory):
    memory.selectByExpression("fclass in ('forest', 'meadow')")
    result = run(QgsProcessingFeatureSourceDefinition(memory.id(), selectedFeaturesOnly=True))
    assert sorted(json.loads(result["CLASSES"]).values()) == ["forest", "meadow"]


def test_unsaved_edits_and_filters_count(run, osm, tmp_path, qgis_new_project):
    layer = QgsVectorLayer(str(osm), "osm")
    # No GeoPackage: SQLite now and then cannot open one that was closed a moment ago ("unable to open database file").
    copy, options = tmp_path / "copy.shp", QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "ESRI Shapefile"
    QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(copy), QgsCoordinateTransformContext(), options)
    layer = QgsVectorLayer(str(copy), "copy")
    layer.setSubsetString("fclass in ('forest', 'meadow')")
    qgis_new_project.addMapLayer(layer)
    layer.startEditing()
    field = layer.fields().lookupField("fclass")
    for feature in layer.getFeatures("fclass = 'meadow'"):
        layer.changeAttributeValue(feature.id(), field, "lawn")
    result = run(layer)
    layer.rollBack()
    assert sorted(json.loads(result["CLASSES"]).values()) == ["forest", "lawn"]


def test_the_colours_of_the_samples_layer_are_those_of_the_map(run, memory):
    memory.selectByExpression("fclass in ('forest', 'meadow')")
    colors = {"forest": "#8b0000", "meadow": "#4b0082", "desert": "#ffff00", "": "#000000"}
    memory.setRenderer(
        QgsCategorizedSymbolRenderer(
            "fclass",
            [QgsRendererCategory(name, QgsFillSymbol.createSimple({"color": c}), name) for name, c in colors.items()],
        )
    )
    result = run(QgsProcessingFeatureSourceDefinition(memory.id(), selectedFeaturesOnly=True))
    classmap = gdal.Open(result["OUTPUT"])
    table = classmap.GetRasterBand(1).GetColorTable()
    for number, name in json.loads(result["CLASSES"]).items():
        assert "#{:02x}{:02x}{:02x}".format(*table.GetColorEntry(int(number))[:3]) == colors[name]


@pytest.mark.parametrize("head", ["logistic", 2, "2"])
def test_the_classifier_goes_by_name_and_by_number(run, memory, head):
    memory.selectByExpression("fclass in ('forest', 'meadow')")
    samples = QgsProcessingFeatureSourceDefinition(memory.id(), selectedFeaturesOnly=True)
    assert run(samples, HEAD=head)["HEAD"] == "logistic"


def test_any_file_of_the_feature_set_names_it(run, osm, features, expected):
    result = run(str(osm), FEATURES=str(features / "level_1.tif"))
    np.testing.assert_array_equal(pixels(result["OUTPUT"]), pixels(expected[0]))


def test_no_other_classifier_is_taken(run, osm):
    with pytest.raises(QgsProcessingException, match="HEAD"):
        run(str(osm), HEAD="oracle")


def test_what_the_backend_refuses_is_its_own_sentence(run, osm, memory, tmp_path):
    with pytest.raises(QgsProcessingException, match="colour"):
        run(str(osm), CLASS_FIELD="colour")
    with pytest.raises(QgsProcessingException, match=str(tmp_path)):
        run(str(osm), FEATURES=str(tmp_path))
    memory.selectByExpression("fclass = 'forest'")
    with pytest.raises(QgsProcessingException, match="forest"):
        run(QgsProcessingFeatureSourceDefinition(memory.id(), selectedFeaturesOnly=True))
    assert not (tmp_path / "map.tif").exists()


def test_samples_that_cannot_be_written_are_one_sentence(memory, tmp_path):
    path = tmp_path / "no such folder" / "samples.gpkg"
    with pytest.raises(QgsProcessingException, match=r"samples cannot be written to.*no such folder"):
        write_samples(memory, path, QgsCoordinateTransformContext(), QgsProcessingFeedback())


def test_what_comes_beside_the_map_and_the_saved_classifier_again(run, osm, features, expected, tmp_path):
    beside = {name: str(tmp_path / file) for name, file in (
        ("CONFIDENCE", "sure.tif"), ("POLYGONS", "map.gpkg"), ("SAVED_CLASSIFIER", "learnt.npz"))}  # fmt: skip
    result = run(str(osm), MIN_AREA=0.5, **beside)
    assert {name: result[name] for name in beside} == beside
    assert 0 < pixels(beside["CONFIDENCE"]).max() <= 100
    polygons = QgsVectorLayer(f"{beside['POLYGONS']}|layername=classes", "polygons")
    assert {feature["class"] for feature in polygons.getFeatures()} <= set(json.loads(result["CLASSES"]).values())
    assert min(feature["area_ha"] for feature in polygons.getFeatures()) >= 0.5
    again = run(None, CLASSIFIER=beside["SAVED_CLASSIFIER"], OUTPUT=str(tmp_path / "again.tif"))
    np.testing.assert_array_equal(pixels(again["OUTPUT"]), pixels(expected[0]))


@pytest.mark.parametrize("both", [False, True])
def test_samples_or_a_classifier(run, osm, tmp_path, both):
    given = str(tmp_path / "learnt.npz")
    with pytest.raises(QgsProcessingException, match="either samples or a saved classifier"):
        run(str(osm) if both else None, CLASSIFIER=given if both else None)
