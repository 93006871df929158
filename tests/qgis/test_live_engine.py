# SPDX-License-Identifier: GPL-2.0-or-later
"""The thread that talks to a session: the last click wins, and a backend that is gone comes back with its samples."""

from __future__ import annotations

import numpy as np
import pytest
from qgis.PyQt.QtCore import QThread

from ssl4eo_plugin.engine.live import LiveWorker
from tests.qgis.live_server import SURE, LiveServer
from tests.qgis.panel_helpers import serve_until

CLASSES = ["forest", "water"]


def samples(*classes: str) -> dict:
    placed = [{"id": f"p{i}", "class": name, "wkt": f"POINT({i} 0)"} for i, name in enumerate(classes)]
    return {"crs": "EPSG:32633", "samples": placed, "classes": CLASSES, "head": "auto", "balance": "equal"}


def view(size: int = 8, **more) -> dict:
    box = {"layer": "classes", "bbox": [0.0, 0.0, 80.0, 80.0], "width": size, "height": size, "none_beyond": None}
    return {**box, **more}


BOTH, OTHER = samples("forest", "water"), samples("water", "forest")


class Heard:
    """What a worker told, and in which thread."""

    def __init__(self, worker: LiveWorker) -> None:
        self.fitted, self.views, self.failed, self.threads = [], [], [], set()
        for signal, kept in ((worker.fitted, self.fitted), (worker.viewed, self.views), (worker.failed, self.failed)):
            signal.connect(lambda value, kept=kept: (kept.append(value), self.threads.add(QThread.currentThread())))


@pytest.fixture
def server():
    server = LiveServer()
    yield server
    server.go.set()
    server.die()


@pytest.fixture
def worker(qgis_app, server):
    worker = LiveWorker(server, "/features")
    yield worker
    server.go.set()
    worker.close()


@pytest.fixture
def heard(worker):
    return Heard(worker)


def test_samples_become_a_view_over_one_connection_outside_the_window_s_thread(server, worker, heard):
    worker.put(BOTH)
    worker.view(view(width=6, height=4))
    serve_until(lambda: heard.views)
    (shown,) = heard.views
    assert (shown.bbox, shown.width, shown.height, shown.revision) == ((0.0, 0.0, 80.0, 80.0), 6, 4, 1)
    np.testing.assert_array_equal(shown.planes["class"], np.full((4, 6), 2))
    np.testing.assert_array_equal(shown.planes["confidence"], np.full((4, 6), SURE))
    assert server.bodies("/sessions") == [{"features": "/features"}]
    assert heard.fitted[0]["ready"]
    assert server.connections == 1
    assert heard.threads == {QThread.currentThread()}


def test_the_last_click_wins_and_what_is_out_of_date_is_neither_sent_nor_shown(server, worker, heard):
    server.go.clear()
    worker.put(BOTH)
    assert server.waiting.wait(10)
    worker.put(samples("forest"))
    worker.view(view(4))
    worker.put(OTHER)
    worker.view(view(16))
    server.go.set()
    serve_until(lambda: heard.views)
    assert [body["samples"] for body in server.bodies("/samples")] == [BOTH["samples"], OTHER["samples"]]
    assert [body["width"] for body in server.bodies("/view")] == [16]
    assert [view.revision for view in heard.views] == [2]
    assert [answer["revision"] for answer in heard.fitted] == [2]


def test_an_answer_that_newer_samples_overtook_is_dropped(server, worker, heard):
    worker.put(BOTH)
    worker.view(view())
    serve_until(lambda: heard.views)
    server.go.clear()
    server.waiting.clear()
    worker.view(view(16))
    assert server.waiting.wait(10)
    worker.put(OTHER)
    worker.view(view(4))
    server.go.set()
    serve_until(lambda: len(heard.views) > 1)
    assert [shown.width for shown in heard.views] == [8, 4]
    assert heard.views[-1].planes["class"][0, 0] == 1


@pytest.mark.parametrize("loss", ["die", "forget"])
def test_a_backend_that_lost_the_session_gets_it_back_with_the_samples(server, worker, heard, loss):
    worker.put(BOTH)
    worker.view(view())
    serve_until(lambda: heard.views)
    getattr(server, loss)()
    worker.view(view(16))
    serve_until(lambda: len(heard.views) > 1)
    assert heard.failed == []
    assert [body["samples"] for body in server.bodies("/samples")] == [BOTH["samples"]] * 2
    assert server.started == (2 if loss == "die" else 1)
    assert len(heard.fitted) == 2


def test_a_backend_that_dies_in_the_middle_of_a_click_is_asked_again(server, worker, heard):
    server.go.clear()
    worker.put(BOTH)
    worker.view(view())
    assert server.waiting.wait(10)
    server.die()
    server.go.set()
    serve_until(lambda: heard.views)
    assert heard.failed == []
    assert server.started == 2


def test_samples_of_someone_else_in_the_session_are_replaced_by_ours(server, worker, heard):
    worker.put(BOTH)
    worker.view(view())
    serve_until(lambda: heard.views)
    (session,) = server._sessions.values()
    session.update(revision=7, samples=OTHER["samples"])
    worker.view(view(16))
    serve_until(lambda: len(heard.views) > 1)
    assert heard.views[-1].revision == 8
    assert heard.views[-1].planes["class"][0, 0] == 2


def test_a_refusal_is_told_once_in_the_backend_s_own_words_and_the_next_click_goes_on(server, worker, heard):
    worker.put(samples("forest", "refused"))
    worker.view(view())
    serve_until(lambda: heard.failed)
    worker.put(BOTH)
    worker.view(view())
    serve_until(lambda: heard.views)
    assert heard.failed == ["The class “refused” is refused; choose another."]


def test_no_view_is_asked_for_before_there_is_a_map(server, worker, heard):
    worker.put(samples("forest"))
    worker.view(view())
    answers = []
    worker.ask("probe", "POST", "/probe", {"x": 1.0, "y": 2.0}, answers.append)
    serve_until(lambda: answers)
    assert server.bodies("/view") == []
    assert answers[0]["at"] == [1.0, 2.0]


def test_of_questions_of_one_kind_the_newest_is_asked_and_the_others_are_told_so(server, worker, heard):
    server.go.clear()
    worker.put(BOTH)
    assert server.waiting.wait(10)
    answers = []
    for x in (1.0, 2.0, 3.0):
        worker.ask("probe", "POST", "/probe", {"x": x, "y": 0.0}, lambda answer, x=x: answers.append((x, answer)))
    server.go.set()
    serve_until(lambda: len(answers) == 3)
    assert answers[:2] == [(1.0, None), (2.0, None)]
    assert answers[2][1]["at"] == [3.0, 0.0]


def test_closing_does_not_wait_for_an_answer_and_nothing_is_told_after_it(server, worker, heard):
    worker.put(BOTH)
    serve_until(lambda: heard.fitted)
    server.go.clear()
    server.waiting.clear()
    worker.view(view())
    assert server.waiting.wait(10)
    worker.close()
    worker.put(OTHER)
    server.go.set()
    worker._thread.join(10)
    assert not worker._thread.is_alive()
    serve_until(lambda: True)
    assert heard.views == heard.failed == []
    assert len(server.bodies("/samples")) == 1
    assert server.asked[-1][0] == "DELETE"
