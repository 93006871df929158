# SPDX-License-Identifier: GPL-2.0-or-later
"""`ssl4eo:bench` inside QGIS, on the real backend."""

from __future__ import annotations

import json

import pytest
from qgis.core import QgsProcessingException, QgsProcessingFeedback

from ssl4eo_plugin.settings import BUNDLED_ENCODER

processing = pytest.importorskip("processing")


@pytest.fixture(scope="module")
def measured(algorithms, scene):
    """What one small round gives, and what was said."""
    feedback = QgsProcessingFeedback()
    parameters = {"INPUT": scene, "WHAT": ["ratio"], "PAIRS": 1, "DEVICE": "cpu"}
    return processing.run("ssl4eo:bench", parameters, feedback=feedback), feedback


def test_speed_and_ratio_come_out_and_are_told(measured):
    result, feedback = measured
    (run,) = json.loads(result["REPORT"])["runs"]
    assert (run["encoder"], run["device"], run["mode"]) == (BUNDLED_ENCODER, "cpu", "standard")
    assert result["RATIO"] == run["ratio"]["median"]
    forward = run["forward"]
    assert result["IMAGES"] == forward["arrangements"][forward["fastest"]]["images_per_second"]
    assert f"The forward pass is {result['RATIO']:.2f} of the time" in feedback.textLog()
    assert f"{BUNDLED_ENCODER} on cpu in {run['precision']}" in feedback.textLog()


def test_clicks_on_the_live_map_are_timed(algorithms, features):
    result = processing.run("ssl4eo:bench", {"WHAT": ["live"], "FEATURES": str(features), "CLICKS": 2})
    report = json.loads(result["REPORT"])
    assert report["runs"] == []
    assert report["live"]["clicks"] == 2
    assert result["CLICK"] > 0


def test_the_backends_sentence_is_shown(algorithms):
    with pytest.raises(QgsProcessingException, match="choose a transformer for the baseline"):
        processing.run("ssl4eo:bench", {"WHAT": ["baseline"]})


def test_sizes_that_are_no_numbers_are_refused_at_once(algorithms):
    with pytest.raises(QgsProcessingException, match="“1;4” is not a list of sizes in megapixels"):
        processing.run("ssl4eo:bench", {"WHAT": ["scaling"], "SIZES": "1;4"})


def test_a_cancel_ends_it(algorithms, scene):
    feedback = QgsProcessingFeedback()
    feedback.progressChanged.connect(lambda percent: percent > 10 and feedback.cancel())
    with pytest.raises(QgsProcessingException, match="Cancelled"):
        processing.run("ssl4eo:bench", {"INPUT": scene, "PAIRS": 1, "DEVICE": "cpu"}, feedback=feedback)
