# SPDX-License-Identifier: GPL-2.0-or-later
"""The class table: order, hiding, merging, and class lists from elsewhere."""

from __future__ import annotations

import pytest
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsFeature,
    QgsGeometry,
    QgsPalettedRasterRenderer,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsRendererCategory,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QMimeData, QPoint, QPointF, Qt
from qgis.PyQt.QtGui import QColor, QDropEvent

from ssl4eo_plugin.canvas.class_import import classes_of_csv, classes_of_layer
from ssl4eo_plugin.canvas.errors import CanvasError
from ssl4eo_plugin.canvas.symbols import point_symbol
from ssl4eo_plugin.panel.class_import import ClassImportDialog
from tests.qgis.canvas_helpers import click, on_disk, press, show
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.live_stand_in import LiveStandIn
from tests.qgis.panel_helpers import STEP, X, Y

EYE = 5


@pytest.fixture
def page(panel, encoded, monkeypatch):
    """The Labels step with three classes and a sample of each of the first two."""
    assert panel.features.use(encoded)
    LiveStandIn(panel.state.live_map, monkeypatch)
    show(panel.state.canvas, QgsRectangle(*PATCH_BBOX).buffered(100))
    assert panel.show_step("labels")
    for number, name in enumerate(("forest", "water", "reed")):
        panel.labels.add_class(name)
        panel.labels.activate_tool("point")
        if number < 2:
            click(panel.state.canvas, X + number * STEP, Y)
    return panel.labels


def names(page) -> list[str]:
    return [page.table.item(row, 1).text() for row in range(page.table.rowCount())]


def drop(table, row: int, below: bool) -> None:
    """Let go of what is dragged on the upper or lower half of a row, -1 under the last."""
    y = table.rowViewportPosition(row) + (table.rowHeight(row) - 3 if below else 3) if row >= 0 else 1000
    place = QPoint(60, y) if not hasattr(QDropEvent, "position") else QPointF(60, y)
    event = QDropEvent(
        place, Qt.DropAction.MoveAction, QMimeData(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    )
    table.dropEvent(event)


@pytest.mark.parametrize(
    ("dragged", "row", "below", "order"),
    [
        ("reed", 0, False, ["reed", "forest", "water"]),
        ("forest", 1, True, ["water", "forest", "reed"]),
        ("forest", -1, False, ["water", "reed", "forest"]),
        ("water", 1, True, ["forest", "water", "reed"]),
    ],
)
def test_a_dragged_class_takes_its_colour_its_key_and_its_code_along(page, dragged, row, below, order):
    colors = {name: color.name() for name, color in page.classes().items()}
    page.select_class(dragged)
    drop(page.table, row, below)
    assert names(page) == list(page.classes()) == order
    assert {name: color.name() for name, color in page.classes().items()} == colors
    assert page.current_class() == dragged
    press(page.state.canvas, Qt.Key.Key_1)
    assert page.current_class() == order[0]


def test_the_eye_hides_a_class_from_the_live_map(page):
    page.table.cellClicked.emit(1, EYE)
    assert page.store.hidden() == ["water"]
    assert page.table.item(1, 1).font().italic()
    page.table.cellClicked.emit(1, EYE)
    assert page.store.hidden() == []
    assert not page.table.item(1, 1).font().italic()


def test_the_menu_merges_moves_and_removes(page):
    def choose(name: str, *texts: str) -> None:
        menu = page.table.menu(name)
        for text in texts[:-1]:
            menu = next(action.menu() for action in menu.actions() if action.text() == text)
        next(action for action in menu.actions() if action.text() == texts[-1]).trigger()

    choose("water", "Merge into", "reed")
    assert page.counts() == {"forest": 1, "reed": 1}
    assert [row["class"] for row in on_disk(page.store.path, "samples")] == ["forest", "reed"]
    assert page.current_class() == "reed"
    choose("reed", "Move up")
    assert names(page) == ["reed", "forest"]
    page.undo()
    page.undo()
    assert page.counts() == {"forest": 1, "water": 1, "reed": 0}
    page.redo()
    assert names(page) == ["forest", "reed"]
    menu = page.table.menu("forest")
    assert not next(action for action in menu.actions() if action.text() == "Move up").isEnabled()


def test_the_button_has_the_menu_of_the_chosen_class_and_imports(page):
    page.select_class("water")
    page.moreButton.menu().aboutToShow.emit()
    texts = [action.text() for action in page.moreButton.menu().actions()]
    assert "Merge into" in texts
    assert "Import classes from a layer…" in texts


def test_undo_and_redo_are_buttons_too(page):
    page.undoButton.click()
    assert list(page.classes()) == ["forest", "water"]
    page.redoButton.click()
    assert list(page.classes()) == ["forest", "water", "reed"]
    assert not page.redoButton.isEnabled()


def vector() -> QgsVectorLayer:
    layer = QgsVectorLayer("Point?crs=EPSG:32633&field=kind:string(0)", "kinds", "memory")
    for number, kind in enumerate(("sand", "ice", "sand", None)):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(X + number, Y)))
        feature["kind"] = kind
        layer.dataProvider().addFeatures([feature])
    return layer


def test_classes_come_from_the_style_or_a_field_of_a_layer(qgis_new_project):
    layer = vector()
    assert classes_of_layer(layer, "kind") == {"ice": None, "sand": None}
    with pytest.raises(CanvasError, match="has no classes"):
        classes_of_layer(layer)
    symbols = [(value, point_symbol(QColor(color))) for value, color in (("sand", "#ffee00"), ("ice", "#00eeff"))]
    categories = [QgsRendererCategory(value, symbol, value) for value, symbol in symbols]
    categories.append(QgsRendererCategory(None, point_symbol(QColor("black")), "others"))
    layer.setRenderer(QgsCategorizedSymbolRenderer("kind", categories))
    found = classes_of_layer(layer)
    assert {name: color.name() for name, color in found.items()} == {"sand": "#ffee00", "ice": "#00eeff"}


def test_classes_come_from_the_palette_of_a_map(qgis_new_project, scene):
    layer = QgsRasterLayer(scene, "map", "gdal")
    entries = [QgsPalettedRasterRenderer.Class(1, QColor("#112233"), "sand")]
    layer.setRenderer(QgsPalettedRasterRenderer(layer.dataProvider(), 1, entries))
    assert {name: color.name() for name, color in classes_of_layer(layer).items()} == {"sand": "#112233"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,colour\nsand,#ffee00\nice\n", {"sand": "#ffee00", "ice": None}),
        ("\ufeffsand;red;\n\n  dry   grass ; #00ff00\n", {"sand": "#ff0000", "dry grass": "#00ff00"}),
        ('"sand, wet",blue\n', {"sand, wet": "#0000ff"}),
    ],
)
def test_classes_come_from_a_table(tmp_path, text, expected):
    path = tmp_path / "classes.csv"
    path.write_text(text, "utf-8")
    found = {name: color and color.name() for name, color in classes_of_csv(path).items()}
    assert found == expected


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"sand,#12\n", "colour “#12”"),
        (b"\n", "holds no classes"),
        (b"\xff\xfe\x00s", "cannot be read as text"),
        ("\n".join(f"class {number}" for number in range(300)).encode(), "more than 254"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, content, says):
    path = tmp_path / "classes.csv"
    path.write_bytes(content)
    with pytest.raises(CanvasError, match=says):
        classes_of_csv(path)


def test_an_imported_list_adds_what_is_missing_and_is_one_step(page):
    layer = vector()
    QgsProject.instance().addMapLayer(layer)
    dialog = ClassImportDialog(page)
    dialog.layers.setLayer(layer)
    dialog.fields.setField("kind")
    page.import_classes({**dialog.classes(), "water": QColor("red")})
    assert names(page) == ["forest", "water", "reed", "ice", "sand"]
    assert page.classes()["water"].name() != "#ff0000"
    assert "Added 2 of 3" in page.note.sentence()
    page.undo()
    assert names(page) == ["forest", "water", "reed"]
    dialog.deleteLater()
