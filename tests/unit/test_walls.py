# SPDX-License-Identifier: GPL-2.0-or-later
"""The walls of the house: who may import whom, and how large a room may be."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BACKEND = REPOSITORY / "backend" / "ssl4eo"
PLUGIN = REPOSITORY / "ssl4eo_plugin"
MAX_LINES = 400

# Lower rank = lower floor. A room imports from its own floor or from below.
FLOORS = (
    {"errors", "jobs", "files", "grid", "bands"},
    {"scenes", "encoders"},
    {"features"},
    {"labels", "explore", "pretrain", "bench"},
    {"cli", "service"},
)
RANK = {room: rank for rank, rooms in enumerate(FLOORS) for room in rooms}
# `processing` is the plugin through which QGIS offers its algorithms; QGIS imports ours under its folder's name.
# `osgeo` comes with every QGIS, whose own algorithms need it: the live map is a raster in GDAL's memory.
PLUGIN_MAY_IMPORT = sys.stdlib_module_names | {"qgis", "numpy", "osgeo", "processing", "ssl4eo_plugin"}


def sources(*folders: Path) -> list[Path]:
    found = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    assert found, f"no Python files in {folders}"
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute dotted names that a file imports, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            elif path.is_relative_to(BACKEND.parent):
                package = path.relative_to(BACKEND.parent).parent.parts
                base = package[: len(package) - node.level + 1]
                module = ".".join((*base, *([node.module] if node.module else [])))
                yield from (f"{module}.{alias.name}" for alias in node.names)


def room(path: Path, house: Path = BACKEND) -> str:
    """The top-level module or package of the backend, or of one of its packages, that a file belongs to."""
    return path.relative_to(house).parts[0].removesuffix(".py")


def test_backend_never_imports_qgis() -> None:
    for path in sources(BACKEND):
        assert not [name for name in imports(path) if re.match(r"(qgis|PyQt\d|ssl4eo_plugin)\b", name)], path


def test_plugin_imports_only_the_standard_library_qgis_and_numpy() -> None:
    for path in sources(PLUGIN):
        strangers = {name.split(".")[0] for name in imports(path)} - PLUGIN_MAY_IMPORT
        assert not strangers, f"{path} imports {strangers}"


def test_plugin_takes_qt_from_qgis_only() -> None:
    for path in sources(PLUGIN):
        assert not [name for name in imports(path) if re.match(r"(PyQt|PySide|sip\b)", name)], path


def test_backend_arrows_run_downward() -> None:
    for path in sources(BACKEND):
        if room(path) in ("__init__", "__main__"):
            continue
        assert room(path) in RANK, f"{path} stands on no floor: give {room(path)} a place in FLOORS"
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "ssl4eo" and len(parts) > 1 and parts[1] in RANK:
                assert RANK[parts[1]] <= RANK[room(path)], f"{path} imports {name} from above"


@pytest.mark.parametrize("house", [BACKEND, BACKEND / "labels"])
def test_backend_rooms_form_no_circle(house: Path) -> None:
    arrows: dict[str, set[str]] = {}
    name_of_house = ".".join((*house.relative_to(BACKEND.parent).parts, ""))
    rooms = {room(path, house) for path in sources(house)} - {"__init__", "__main__"}
    for path in sources(house):
        inside = [name.removeprefix(name_of_house) for name in imports(path) if name.startswith(name_of_house)]
        here = room(path, house)
        if here in rooms:
            arrows.setdefault(here, set()).update({name.split(".")[0] for name in inside} & rooms - {here})
    assert len(arrows) > 5
    done: set[str] = set()

    def walk(start: str, trail: tuple[str, ...]) -> None:
        assert start not in trail, f"circle: {' -> '.join((*trail, start))}"
        if start not in done:
            for target in sorted(arrows.get(start, ())):
                walk(target, (*trail, start))
            done.add(start)

    for start in arrows:
        walk(start, ())


@pytest.mark.parametrize("folder", ["backend", "ssl4eo_plugin", "tests", "scripts"])
def test_no_file_is_too_long_and_each_names_its_licence(folder: str) -> None:
    for path in sources(REPOSITORY / folder):
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) <= MAX_LINES, f"{path} has {len(lines)} lines"
        assert lines[:1] == ["# SPDX-License-Identifier: GPL-2.0-or-later"], path


def test_plugin_scopes_every_enum() -> None:
    """Qt6 knows `Qt.Orientation.Horizontal` only; `Qt.Horizontal` is an AttributeError there."""
    for path in sources(PLUGIN):
        assert not list(unscoped_enums(path.read_text("utf-8"))), (
            f"{path}: {list(unscoped_enums(path.read_text('utf-8')))}"
        )


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("x = Qt.Horizontal", ["Qt.Horizontal"]),
        ("x = Qt.Orientation.Horizontal", []),
        ("QgsTask.__init__(self, 'x', QgsTask.CanCancel)", ["QgsTask.CanCancel"]),
        ("QMessageBox.StandardButton.Ok | QMessageBox.Cancel", ["QMessageBox.Cancel"]),
        ("def f(button: Qt.MouseButton) -> Qt.MouseButton: return QgsProject.instance()", []),
        ("QtCore.Qt.Key_Escape", ["QtCore.Qt.Key_Escape"]),
        ("QEvent.Type(3)", []),
        ("actions = QgsVectorFileWriter.ActionOnExistingFile\nx = actions.CreateOrOverwriteFile", []),
    ],
)
def test_the_enum_check_itself(code: str, found: list[str]) -> None:
    assert list(unscoped_enums(code)) == found


def unscoped_enums(code: str) -> Iterator[str]:
    """Yield `Class.Value` uses: a Qt or QGIS class, then one capitalised name that is neither called nor a type."""
    tree = ast.parse(code)
    spoken_for: set[int] = set()
    opened = {
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) or (isinstance(node, ast.Assign) and _names(node.targets) & opened):
            spoken_for.add(id(node.value))
        elif isinstance(node, ast.Call):
            spoken_for.add(id(node.func))
        elif isinstance(node, ast.arg | ast.AnnAssign) and node.annotation:
            spoken_for.update(id(part) for part in ast.walk(node.annotation))
        elif isinstance(node, ast.FunctionDef) and node.returns:
            spoken_for.update(id(part) for part in ast.walk(node.returns))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in spoken_for:
            text = ast.unparse(node)
            if re.fullmatch(r"(Qt[A-Z]\w+\.)?(Qt|Q[A-Z]\w+|Qgs[A-Z]\w+|Qgis)\.[A-Z]\w*[a-z]\w*", text):
                yield text


def _names(nodes: list[ast.expr]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name)}
