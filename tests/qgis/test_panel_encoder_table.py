# SPDX-License-Identifier: GPL-2.0-or-later
"""The window of encoders over the real cards: find, read, download, import, verify, remove and use."""

from __future__ import annotations

import pytest
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QApplication, QMessageBox

from ssl4eo_plugin import settings
from ssl4eo_plugin.panel import encoder_table
from ssl4eo_plugin.panel.encoder_import import MatchQuestion
from ssl4eo_plugin.panel.encoder_model import BACKBONE, ENCODER, SIZE, STATE, encoder_at
from tests.qgis.panel_helpers import serve_until

FIRST, SECOND = "moco-resnet50-s2", "mae-vits16-s2"
RADAR = "mae-vits16-s1"


@pytest.fixture
def table(panel):
    """The window, filled."""
    table = panel.features.open_encoders()
    serve_until(lambda: table.filter.rowCount() > 0)
    return table


def column(table, number: int) -> list[str]:
    return [table.filter.index(row, number).data() for row in range(table.filter.rowCount())]


def ids(table) -> list[str]:
    return [encoder_at(table.filter.index(row, 0)) for row in range(table.filter.rowCount())]


def state(table, encoder: str) -> str:
    return column(table, STATE)[ids(table).index(encoder)]


def download(table, *encoders: str) -> None:
    for encoder in encoders:
        assert table.choose(encoder)
        table.downloadButton.click()


def test_every_encoder_has_a_row_in_the_order_of_the_backend(table, stand_in):
    assert ids(table) == list(stand_in.cards)
    row = ids(table).index(FIRST)
    assert [table.filter.index(row, number).data() for number in range(7)] == [
        "MoCo-v2 ResNet-50", "S2, 13 bands", "MoCo", "ResNet-50", "94 MB", "CC-BY-4.0", "to download",
    ]  # fmt: skip
    assert state(table, "moco-resnet18w32-s2") == "comes with the plugin"
    assert not table.isModal()


@pytest.mark.parametrize(
    ("text", "count"), [("resnet-50 sentinel-1", 3), ("FG-MAE s2", 4), ("apache", 2), ("rgb", 2), ("no such", 0)]
)
def test_the_search_takes_every_word_in_any_column(table, text, count):
    table.searchBox.setText(text)
    assert table.filter.rowCount() == count
    table.searchBox.clear()
    assert table.filter.rowCount() == 34


def test_sizes_are_sorted_as_numbers(table, stand_in):
    table.table.sortByColumn(SIZE, Qt.SortOrder.AscendingOrder)
    sizes = [stand_in.cards[encoder]["size_mb"] for encoder in ids(table)]
    assert sizes == sorted(sizes)
    assert column(table, SIZE)[-1] == "2.5 GB"


def scene(sensor: str, bands: list[str]) -> object:
    return type("Scene", (), {"info": {"sensor": sensor, "bands": bands, "level": "L1C", "needs": []}, "ready": True})()


def test_only_what_fits_the_image_is_left(table, panel):
    assert not table.fitBox.isEnabled()
    panel.state.scene = scene("S2", ["B02", "B03", "B04"])
    table._fill()
    table.fitBox.setChecked(True)
    assert ids(table) == ["moco-resnet18-rgb", "moco-resnet50-rgb"]
    panel.state.scene = scene("S1", ["VV", "VH"])
    table._fill()
    assert {encoder.rpartition("-")[2] for encoder in ids(table)} == {"s1"}
    panel.state.scene = scene("S2", [f"B{number:02d}" for number in range(1, 10)] + ["B8A", "B11", "B12"])
    table._fill()
    # B10 is made up for.
    assert FIRST in ids(table)
    panel.state.scene = None


def test_the_details_say_how_a_score_was_made_and_where_the_weights_come_from(table):
    table.choose(FIRST)
    text = table.detailsView.toPlainText()
    assert "BigEarthNet (100 %): mAP 91.8 %, fine-tuned (zhu-xlab/SSL4EO-S12@2156913c README.md:26-31)" in text
    assert "frozen, as it is used here, it scores lower" in text
    assert "reflectance, cut to 0 to 1." in text
    assert "checksum df8b932e" in text
    assert "https://arxiv.org/abs/2003.04297" in table.detailsView.toHtml()
    table.choose("softcon-vits14-s2")
    assert "frozen under a linear head" in table.detailsView.toPlainText()
    assert "no published checksum" in table.detailsView.toPlainText()


def test_downloads_run_one_after_the_other_and_end_in_the_list(table, panel, stand_in):
    download(table, FIRST, SECOND)
    serve_until(stand_in.running)
    assert stand_in.submitted == [("weights_download", {"encoder": FIRST})]
    assert state(table, SECOND) == "Waiting"
    assert not table.downloadButton.isEnabled()
    assert table.cancelButton.isEnabled()
    stand_in.advance(0.4, "38 of 94 MB, 3.1 MB/s")
    serve_until(lambda: "38 of 94 MB" in state(table, FIRST))
    assert panel.features.downloadFacts.text() == "Downloading MoCo-v2 ResNet-50: 40 %, 1 more to come"
    stand_in.have(FIRST)
    stand_in.finish({"encoder": FIRST, "verified": "published checksum"})
    serve_until(lambda: state(table, FIRST) == "on this computer")
    serve_until(lambda: len(stand_in.submitted) == 2)
    assert stand_in.submitted[1] == ("weights_download", {"encoder": SECOND})
    assert table.note.sentence().startswith("MoCo-v2 ResNet-50 is on this computer now")
    assert panel.features.encoderBox.findData(FIRST) < panel.features.encoderBox.findData(SECOND)


def test_what_waits_and_what_runs_can_be_cancelled(table, stand_in):
    download(table, FIRST, SECOND)
    serve_until(stand_in.running)
    table.cancelButton.click()
    assert state(table, SECOND) == "to download"
    table.choose(FIRST)
    table.cancelButton.click()
    assert state(table, FIRST) == "Cancelling"
    stand_in.have(FIRST, "partial")
    serve_until(lambda: state(table, FIRST) == "partly downloaded")
    assert len(stand_in.submitted) == 1
    assert "what was fetched is kept" in table.note.sentence()
    assert table.downloadButton.isEnabled()


def test_a_download_that_fails_is_a_sentence_where_the_user_looks(table, panel, stand_in):
    download(table, FIRST)
    serve_until(stand_in.running)
    stand_in.refuse("The server is away; try again.")
    serve_until(lambda: table.note.sentence() == "The server is away; try again.")
    assert table.note.level == "error"
    assert panel.features.note.sentence() == ""
    download(table, FIRST)
    serve_until(stand_in.running)
    table.closeButton.click()
    assert panel.features.downloadFacts.isVisibleTo(panel.features)
    stand_in.refuse("The disk is full; make room.")
    serve_until(lambda: panel.features.note.sentence() == "The disk is full; make room.")
    assert not panel.features.downloadFacts.isVisibleTo(panel.features)


def test_a_download_goes_on_when_the_window_is_closed(table, panel, stand_in):
    download(table, FIRST)
    serve_until(stand_in.running)
    table.close()
    stand_in.have(FIRST)
    stand_in.finish({"encoder": FIRST, "verified": "published checksum"})
    serve_until(lambda: panel.features.note.sentence() == "MoCo-v2 ResNet-50 was downloaded and can be used.")
    panel.features.set_encoder(FIRST)
    serve_until(lambda: panel.features.encoderBox.currentData() == FIRST)


def test_the_mirror_is_kept_and_sent(table, stand_in):
    table.mirrorBox.setText(" http://files.example.org/ssl4eo ")
    download(table, FIRST)
    serve_until(stand_in.running)
    assert settings.mirror() == "http://files.example.org/ssl4eo"
    assert stand_in.submitted[0][1]["mirror"] == "http://files.example.org/ssl4eo"
    table.mirrorBox.setText("")
    table.mirrorBox.editingFinished.emit()
    assert settings.mirror() == ""


def test_only_what_is_here_can_be_used_and_a_double_click_does(table, panel, stand_in):
    table.choose(FIRST)
    assert not table.useButton.isEnabled()
    stand_in.have(FIRST)
    panel.state.encoders.refresh()
    serve_until(table.useButton.isEnabled)
    table.table.doubleClicked.emit(table.table.currentIndex())
    assert panel.features.encoder_id() == FIRST
    panel.state.scene = scene("S1", ["VV", "VH"])
    table._fill()
    assert not table.useButton.isEnabled()
    assert table.useButton.toolTip() == "It takes Sentinel-2, and the image is Sentinel-1."
    panel.state.scene = None


@pytest.fixture
def file(tmp_path):
    return str(tmp_path / "weights.pth")


def match(encoder: str, confidence: str) -> dict[str, str]:
    return {"encoder": encoder, "confidence": confidence, "because": f"it looks like {encoder}"}


def recognise(table, stand_in, file: str, matches: list[dict[str, str]]) -> None:
    """Import a file, whose weights the backend takes for those of `matches`."""
    table.import_file(file)
    serve_until(stand_in.running)
    assert stand_in.submitted[-1] == ("weights_recognise", {"file": file})
    stand_in.finish({"matches": matches})


def test_a_certain_file_is_imported_at_once(table, stand_in, file, monkeypatch):
    monkeypatch.setattr(encoder_table, "ask_match", lambda *_: pytest.fail("asked"))
    recognise(table, stand_in, file, [match(FIRST, "certain")])
    serve_until(stand_in.running)
    assert stand_in.submitted[1:] == [("weights_import", {"file": file, "encoder": FIRST})]
    # The bar shows the second job, though the first has ended since.
    stand_in.advance(0.3, "Copying")
    serve_until(lambda: table.job.message.text().startswith("Copying"))
    assert not table.importButton.isEnabled()
    stand_in.have(FIRST)
    stand_in.finish({"encoder": FIRST, "confidence": "certain", "because": "its sha256 is the published df8b932e"})
    serve_until(lambda: state(table, FIRST) == "on this computer")
    assert table.note.sentence() == "Imported as MoCo-v2 ResNet-50 (certain: its sha256 is the published df8b932e)."
    assert table.chosen() == FIRST


@pytest.mark.parametrize(
    "matches", [[match(FIRST, "likely")], [match(SECOND, "possible"), match(FIRST, "possible")]], ids=["likely", "tie"]
)
def test_what_is_not_certain_is_asked_with_its_reasons(table, stand_in, file, matches):
    recognise(table, stand_in, file, matches)
    serve_until(lambda: isinstance(QApplication.activeModalWidget(), MatchQuestion))
    question = QApplication.activeModalWidget()
    rows = [question.list.topLevelItem(row) for row in range(question.list.topLevelItemCount())]
    assert [row.text(1) for row in rows] == [found["confidence"] for found in matches]
    assert [row.text(2) for row in rows] == [found["because"] for found in matches]
    question.list.setCurrentItem(rows[-1])
    question.import_button.click()
    serve_until(stand_in.running)
    assert stand_in.submitted[1:] == [("weights_import", {"file": file, "encoder": FIRST})]


def test_a_question_that_is_dismissed_imports_nothing(table, stand_in, file):
    recognise(table, stand_in, file, [match(FIRST, "likely")])
    serve_until(lambda: isinstance(QApplication.activeModalWidget(), MatchQuestion))
    QApplication.activeModalWidget().reject()
    serve_until(lambda: QApplication.activeModalWidget() is None)
    assert [kind for kind, _params in stand_in.submitted] == ["weights_recognise"]
    assert table.note.sentence() == ""
    assert table.importButton.isEnabled()


def test_a_file_that_fits_nothing_or_is_gone_is_one_sentence(table, stand_in, file):
    recognise(table, stand_in, file, [])
    serve_until(lambda: table.note.level == "error")
    assert table.note.sentence() == "“weights.pth” holds the weights of none of these encoders; choose another file."
    table.import_file("/no/such.pth")
    serve_until(stand_in.running)
    stand_in.refuse("There is no file /no/such.pth; choose another one.")
    serve_until(lambda: table.note.sentence() == "There is no file /no/such.pth; choose another one.")
    assert table.note.level == "error"
    assert table.importButton.isEnabled()


def test_looking_at_a_file_shows_how_far_it_is_and_can_be_cancelled(table, stand_in, file):
    table.import_file(file)
    assert table.note.sentence() == "Looking at weights.pth…"
    assert table.job.isVisibleTo(table)
    assert not table.importButton.isEnabled()
    serve_until(stand_in.running)
    stand_in.advance(0.4, "Hashing")
    serve_until(lambda: table.job.message.text().startswith("Hashing"))
    table.job.cancel_button.click()
    serve_until(lambda: table.note.sentence() == "Cancelled; nothing was imported.")
    assert not table.job.isVisibleTo(table)
    assert table.importButton.isEnabled()
    assert [kind for kind, _params in stand_in.submitted] == ["weights_recognise"]


def test_weights_are_removed_after_a_question(table, panel, stand_in, monkeypatch):
    stand_in.have(FIRST)
    panel.state.encoders.refresh()
    serve_until(lambda: state(table, FIRST) == "on this computer")
    table.choose(FIRST)
    answers, asked = iter((QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes)), []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: (asked.append(words[2]), next(answers))[1])
    table.removeButton.click()
    assert stand_in.cards[FIRST]["state"] == "present"
    table.removeButton.click()
    serve_until(lambda: state(table, FIRST) == "to download")
    assert asked[0] == "Delete the weights of MoCo-v2 ResNet-50 (94 MB) from this computer?"
    assert table.note.sentence() == "Removed; 94 MB are free again."


def test_what_comes_with_the_plugin_cannot_be_removed_but_verified(table, stand_in):
    table.choose("moco-resnet18w32-s2")
    assert not table.removeButton.isEnabled()
    assert not table.downloadButton.isEnabled()
    table.verifyButton.click()
    serve_until(stand_in.running)
    assert stand_in.submitted == [("weights_verify", {"encoder": "moco-resnet18w32-s2"})]
    assert not table.verifyButton.isEnabled()
    stand_in.finish(
        {"rows": [{"encoder": "x", "state": "damaged", "sentence": "The file is damaged; import it again."}]}
    )
    serve_until(lambda: table.note.level == "error")
    assert table.note.sentence() == "The file is damaged; import it again."


def test_columns_keep_their_words(table):
    assert {"ViT-S/16, BEiT", "ResNet-18, half width", "ViT-H/14"} <= set(column(table, BACKBONE))
    assert "Small bundled encoder, to try things out" in column(table, ENCODER)
