# SPDX-License-Identifier: GPL-2.0-or-later
"""Jobs as QGIS tasks: done, refused, cancelled, and with the backend killed under them."""

from __future__ import annotations

import gc
import os
import signal
import weakref

import pytest
from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QEvent, QEventLoop, QThread, QTimer

from ssl4eo_plugin.engine import jobs
from ssl4eo_plugin.engine.process import BackendProcess
from ssl4eo_plugin.engine.tasks import CallTask, JobTask
from ssl4eo_plugin.settings import BUNDLED_ENCODER


@pytest.fixture
def encode(scene, tmp_path):
    """The parameters of an encode job of a part of the scene that takes a few seconds."""
    return {"scene": scene, "out": str(tmp_path / "features"), "window": [300, 200, 128, 128], "device": "cpu"}


def test_an_encode_job_succeeds_with_progress_in_the_main_thread(backend, encode, run_task, tmp_path):
    outcome = run_task(JobTask(backend, "encode", encode))
    threads = []
    outcome.task.advanced.connect(lambda *_: threads.append(QThread.currentThread()))
    outcome.task.succeeded.connect(lambda *_: threads.append(QThread.currentThread()))
    outcome.run()
    ((how, result),) = outcome.ended
    assert how == "succeeded", result
    assert result["features"] == encode["out"]
    assert (tmp_path / "features" / "item.json").is_file()
    fractions = [fraction for fraction, _ in outcome.advances]
    assert fractions == sorted(fractions)
    assert len(fractions) >= 2
    assert outcome.advances[0] == (0.0, "Starting the backend")
    assert set(threads) == {QgsApplication.instance().thread()}


def test_a_task_that_nobody_holds_still_tells_its_end(backend):
    loop, told = QEventLoop(), []
    task = CallTask(backend, lambda client: client.health())
    reference = weakref.ref(task)
    task.succeeded.connect(told.append)
    task.succeeded.connect(loop.quit)
    QgsApplication.taskManager().addTask(task)
    del task
    gc.collect()
    QTimer.singleShot(60_000, loop.quit)
    loop.exec()
    assert [answer["status"] for answer in told] == ["ok"]
    # And it is held no longer than needed.
    QgsApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    assert reference() is None


def test_what_the_backend_refuses_fails_with_its_sentence(backend, encode, run_task, tmp_path):
    encode["scene"] = str(tmp_path / "gone.tif")
    ((how, sentence),) = run_task(JobTask(backend, "encode", encode)).run().ended
    assert how == "failed"
    assert "gone.tif" in sentence
    assert not (tmp_path / "features").exists()


def test_parameters_the_backend_does_not_know_fail(backend, run_task):
    ((how, sentence),) = run_task(JobTask(backend, "encode", {"scene": "x", "out": "y", "speed": 9})).run().ended
    assert (how, "speed" in sentence) == ("failed", True)


def test_a_running_job_is_cancelled_in_the_backend_too(backend, encode, run_task, tmp_path):
    encode["window"] = [0, 0, 1536, 768]
    outcome = run_task(JobTask(backend, "encode", encode))

    def cancel_once_it_runs(fraction, _message):
        if fraction > 0:
            outcome.task.cancel()

    outcome.task.advanced.connect(cancel_once_it_runs)
    assert outcome.run().ended == [("cancelled", None)]
    assert backend.alive
    assert not (tmp_path / "features").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
    # The queue is free: the next job runs.
    encode |= {"window": [300, 200, 64, 64]}
    assert run_task(JobTask(backend, "encode", encode)).run().ended[0][0] == "succeeded"


def test_a_task_cancelled_before_it_starts(backend, encode, run_task):
    outcome = run_task(JobTask(backend, "encode", encode))
    # Waiting, as behind other tasks in a full pool.
    outcome.task.hold()
    QTimer.singleShot(50, outcome.task.cancel)
    assert outcome.run(30).ended == [("cancelled", None)]
    assert not backend.alive


def test_a_cancel_that_is_not_heard_ends_the_backend(backend, encode, run_task, monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "_CANCEL_LIMIT", 1.0)
    encode["window"] = [0, 0, 1536, 768]
    outcome = run_task(JobTask(backend, "encode", encode))

    def freeze_and_cancel(fraction, _message):
        if fraction > 0 and backend.alive:
            os.kill(backend.pid, signal.SIGSTOP)
            outcome.task.cancel()

    monkeypatch.setattr("ssl4eo_plugin.engine.client._QUICK", 0.5)
    outcome.task.advanced.connect(freeze_and_cancel)
    assert outcome.run().ended == [("cancelled", None)]
    assert not backend.alive
    assert not (tmp_path / "features").exists()


def test_a_backend_killed_in_the_middle_fails_and_the_next_job_starts_it_anew(backend, encode, run_task):
    long = encode | {"window": [0, 0, 1536, 768]}
    outcome = run_task(JobTask(backend, "encode", long))

    def kill_once_it_runs(fraction, _message):
        if fraction > 0 and backend.alive:
            os.kill(backend.pid, signal.SIGKILL)

    outcome.task.advanced.connect(kill_once_it_runs)
    ((how, sentence),) = outcome.run().ended
    assert how == "failed"
    assert (
        sentence
        == "The backend stopped (ended by signal 9); labels and finished tiles are kept; press Encode again to go on."
    )
    assert run_task(JobTask(backend, "encode", encode)).run().ended[0][0] == "succeeded"


def test_a_backend_that_cannot_start_fails_the_task(script, run_task, tmp_path):
    backend = BackendProcess(script("sys.exit('no room for numpy')"), tmp_path)
    ((how, sentence),) = run_task(JobTask(backend, "encode", {})).run().ended
    assert how == "failed"
    assert sentence.startswith("The backend could not start (no room for numpy)")


def test_a_fault_of_the_plugin_never_leaves_the_thread(backend, run_task):
    ((how, sentence),) = run_task(CallTask(backend, lambda _client: 1 / 0, "Divide")).run().ended
    assert how == "failed"
    assert "Divide" in sentence
    assert "ZeroDivisionError" in sentence
    ((how, sentence),) = run_task(JobTask(backend, "encode", {"scene": object()})).run().ended
    assert how == "failed"
    assert "TypeError" in sentence


def test_a_question_is_answered(backend, run_task, scene):
    ((how, cards),) = run_task(CallTask(backend, lambda client: client.models())).run().ended
    assert how == "succeeded"
    assert BUNDLED_ENCODER in [card["id"] for card in cards]
    ((how, info),) = run_task(CallTask(backend, lambda client: client.inspect(scene))).run().ended
    assert (how, info["sensor"]) == ("succeeded", "S2")
