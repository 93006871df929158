# SPDX-License-Identifier: GPL-2.0-or-later
"""Quality, components and projection on the Features page: what is offered, remembered, sent and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from qgis.core import QgsRectangle

from ssl4eo_plugin import settings
from ssl4eo_plugin.panel import speed
from ssl4eo_plugin.panel.outcome import outcome
from tests.qgis.helpers import PATCH_BBOX
from tests.qgis.panel_helpers import serve_until, told

SMALL, TRANSFORMER = "moco-resnet18w32-s2", "mae-vits16-s2"
DEARER = {"modes": ["standard", "fine"], "mode_costs": {"standard": 1.0, "fine": 4.0}}
ONE = {"modes": ["standard"], "mode_costs": {"standard": 1.0}}


@pytest.fixture
def page(panel, stand_in, image, run_backend):
    """The Features step of the stand-in's panel: a transformer with two modes, and a ResNet with one."""
    stand_in.have(TRANSFORMER)
    stand_in.cards[SMALL].update(ONE)
    stand_in.infos = {image: run_backend("inspect", image, "--json")}
    told(panel.imagery, lambda: panel.imagery.open_file(image), "inspected")
    panel.show_step("features")
    serve_until(lambda: panel.features.encoderBox.count() > 0)
    page = panel.features
    # 100 x 100 pixels.
    page.set_extent("drawn", QgsRectangle(*PATCH_BBOX[:2], PATCH_BBOX[0] + 1000, PATCH_BBOX[1] + 1000))
    return page


def offered(box) -> list[str]:
    return [box.itemText(row) for row in range(box.count())]


def a_set(folder: Path, *encoders: str, mode: str = "standard", components: int | str = 64) -> Path:
    """Write the item.json of a feature set."""
    folder.mkdir(parents=True)
    entries = [{"id": encoder, "title": encoder, "mode": mode} for encoder in encoders]
    properties = {
        "ssl4eo:encoder": entries[0],
        "ssl4eo:encoders": entries,
        "ssl4eo:components": components,
        "ssl4eo:scene": {"path": "somewhere.tif", "simulated": False},
        "ssl4eo:levels": [{"file": "level_0.tif"}],
        "proj:code": "EPSG:32633",
        "proj:shape": [64, 64],
        "proj:transform": [10, 0, 0, 0, -10, 0],
    }
    (folder / "item.json").write_text(json.dumps({"properties": properties}))
    return folder


@pytest.fixture
def home(page, tmp_path, monkeypatch):
    """The folder where the panel looks for feature sets."""
    monkeypatch.setattr(type(page.state), "home", lambda _state, _image=None: tmp_path)
    page.state.sceneChanged.emit()
    return tmp_path / "ssl4eo"


def test_only_what_the_encoder_has_is_offered_with_its_cost(page, panel, stand_in):
    assert page.qualityBox.isHidden()
    assert page.qualityLabel.isHidden()
    assert page.mode() == "standard"
    page.set_encoder(TRANSFORMER)
    assert not page.qualityBox.isHidden()
    assert offered(page.qualityBox) == ["Fast · a quarter of the time", "Standard"]
    assert page.qualityBox.currentText() == "Standard"
    stand_in.cards[SMALL].update(DEARER)
    panel.state.encoders.refresh()
    page.set_encoder(SMALL)
    serve_until(lambda: offered(page.qualityBox) == ["Standard", "Fine · 4 × the time"])


def test_the_quality_is_sent_and_remembered_for_the_encoders_that_have_it(page, stand_in):
    page.set_encoder(TRANSFORMER)
    page.qualityBox.setCurrentIndex(0)
    assert (page.mode(), settings.mode()) == ("fast", "fast")
    assert Path(page._params()["out"]).name == f"havel-{TRANSFORMER}-fast-1"
    page.set_encoder(SMALL)
    assert page.mode() == page._params()["mode"] == "standard"
    page.set_encoder(TRANSFORMER)
    page.encode()
    serve_until(stand_in.running)
    ((_kind, params),) = stand_in.submitted
    assert (params["mode"], params["components"], params["reuse"]) == ("fast", 64, True)
    assert "projection" not in params
    page.cancel()


def test_the_time_is_judged_by_the_last_run_of_this_quality_or_by_the_cost(page):
    page.set_encoder(TRANSFORMER)
    assert "about" not in page.extentFacts.text()
    speed.remember([TRANSFORMER], "standard", 100, 1.0)
    page.set_mode("fast")
    assert page.extentFacts.text().endswith("about 25 s, by the last run in Standard")
    page.set_mode("standard")
    assert page.extentFacts.text().endswith("about 2 min as in the last run")
    speed.remember([TRANSFORMER], "fast", 1000, 1.0)
    page.set_mode("fast")
    assert page.extentFacts.text().endswith("about 10 s as in the last run")


def test_the_cost_of_two_encoders_counts_only_when_it_changes_alike():
    cards = {
        "a": {"modes": ["fast", "standard"], "mode_costs": {"fast": 0.25, "standard": 1}},
        "b": {"modes": ["fast", "standard"], "mode_costs": {"fast": 0.25, "standard": 1}},
        "c": {"modes": ["standard"], "mode_costs": {"standard": 1}},
    }
    for pair in (["a", "b"], ["a", "c"]):
        speed.remember(pair, "standard", 100, 1)
    assert speed.estimate(cards, ["a", "b"], "fast", 400) == (1.0, "standard")
    assert speed.estimate(cards, ["a", "c"], "fast", 400) is None
    assert speed.estimate(cards, ["a", "c"], "standard", 400) == (4.0, "standard")
    assert speed.estimate(cards, ["a", "unknown"], "standard", 400) is None


def test_the_number_of_components_is_sent(page):
    assert offered(page.componentsBox) == ["32", "64", "128", "All channels"]
    assert page._params()["components"] == 64
    page.set_components("full")
    assert page._params()["components"] == "full"


def test_a_projection_is_taken_from_a_set_of_the_same_encoder_and_quality(page, home):
    fitting = a_set(home / "other-1", SMALL, components=16)
    a_set(home / "other-2", TRANSFORMER)
    a_set(home / "other-3", SMALL, mode="fine")
    a_set(home / ".other-4.part", SMALL)
    page.state.featuresChanged.emit()
    box = page.projectionBox
    assert offered(box) == ["This image", "other-1"]
    page.set_components(128)
    assert page.set_projection(fitting)
    params = page._params()
    # The number is that of the projection, whatever was chosen before.
    assert (params["projection"], params["components"]) == (str(fitting), 16)
    assert not page.componentsBox.isEnabled()
    page.set_encoder(TRANSFORMER)
    assert offered(box) == ["This image", "other-2"]
    params = page._params()
    assert ("projection" in params, params["components"]) == (False, 128)
    assert page.componentsBox.isEnabled()
    assert not page.set_projection(fitting)


def test_without_a_fitting_set_there_is_nothing_to_choose(page, home):
    page.state.featuresChanged.emit()
    assert offered(page.projectionBox) == ["This image"]
    assert not page.projectionBox.isEnabled()


def test_after_a_failure_the_same_folder_is_proposed_and_the_reason_is_said(page, stand_in, home):
    first = page._params()["out"]
    page.encode()
    serve_until(stand_in.running)
    # As an interrupted run leaves it.
    (home / f".{Path(first).name}.part").mkdir()
    sentence = "The disk is full; what is done so far is kept, and the same encode goes on from there."
    _none, said = told(page, lambda: stand_in.refuse(sentence), "encoded")
    assert said == page.note.sentence() == sentence
    assert page._params()["out"] == first
    assert page.folderBox.lineEdit().placeholderText() == first


def test_the_bar_says_what_the_backend_says(page, stand_in, home):
    page.encode()
    serve_until(stand_in.running)
    stand_in.advance(0.5, "Encoding: 12 of 24 tiles, 30 s left")
    serve_until(lambda: page.job.message.text().startswith("Encoding: 12 of 24 tiles, 30 s left"))
    assert page.job.bar.value() == page.job.bar.maximum() // 2
    page.cancel()
    serve_until(lambda: not page.running())


def test_a_chosen_feature_set_is_left_to_the_backend(page, stand_in, home):
    made = a_set(home / "mine", SMALL)
    page.set_output(made)
    page.encode()
    serve_until(stand_in.running)
    assert stand_in.submitted[0][1]["out"] == str(made)
    _none, said = told(page, lambda: stand_in.refuse(f"{made} exists already."), "encoded")
    assert said == f"{made} exists already."


RESULT = {
    "features": "/sets/havel-1",
    "seconds": 200.0,
    "device": "cpu",
    "device_reason": "no GPU was found",
    "precision": "bf16",
    "precision_reason": "this processor multiplies bf16",
    "windows": 48,
    "cached": False,
    "resumed": 0,
}


def test_the_outcome_says_where_it_ran_and_why():
    (sentence,) = outcome(RESULT, (64, 32), "auto")
    assert sentence == (
        "Encoded 64 × 32 px in 3 min on the CPU (no GPU was found) in bf16 (this processor multiplies bf16)."
    )
    (sentence,) = outcome({**RESULT, "device": "cuda:1"}, (64, 32), "cuda")
    assert "on the GPU cuda:1 in bf16" in sentence


def test_the_outcome_says_what_was_there_already():
    assert outcome({**RESULT, "cached": True}, (64, 32), "auto") == ["Already encoded: taken from “havel-1”."]
    _words, resumed = outcome({**RESULT, "resumed": 12}, (64, 32), "auto")
    assert resumed == "It went on where an interrupted run had stopped, after 12 of 48 tiles."
