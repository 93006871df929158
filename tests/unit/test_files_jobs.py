# SPDX-License-Identifier: GPL-2.0-or-later
"""Atomic results and cancellable jobs."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from ssl4eo.errors import Cancelled, InputError, OutputError
from ssl4eo.files import atomic_file, require_space, resumable_folder
from ssl4eo.jobs import JobQueue, Progress, part

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_text("old")
    with atomic_file(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.suffix == ".tif"
    assert target.read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_failure_leaves_the_old_file_and_no_trace(tmp_path: Path) -> None:
    target = tmp_path / "a.tif"
    target.write_text("old")

    def fill_the_disk() -> None:
        with atomic_file(target) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.tif: the disk is full"):
        fill_the_disk()
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def work_at(folder: Path, purpose: str | None, *, keep: bool = False, error: Exception | None = None) -> list[str]:
    """Add a file to unfinished work and fail, or finish; return what was there before."""
    with resumable_folder(folder, purpose) as unfinished:
        found = sorted(path.name for path in unfinished.folder.iterdir() if path.name.startswith("part"))
        (unfinished.folder / f"part_{len(found)}").write_text("x")
        unfinished.keep = keep
        if error is not None:
            raise error
    return found


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with resumable_folder(tmp_path / "set", "a") as unfinished:
        (unfinished.folder / "x").write_text("1")
        assert not any((tmp_path / "set").iterdir())
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["x"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize(
    ("purpose", "keep", "error"),
    [("a", True, Cancelled("Cancelled.")), ("a", False, InputError("wrong")), (None, True, InputError("wrong"))],
)
def test_work_that_is_not_gone_on_with_leaves_nothing(
    tmp_path: Path, purpose: str | None, error: Exception, *, keep: bool
) -> None:
    with pytest.raises(type(error)):
        work_at(tmp_path / "set", purpose, keep=keep, error=error)
    assert list(tmp_path.iterdir()) == []


def test_work_that_failed_is_gone_on_with(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with pytest.raises(OutputError, match=r"set: the disk is full"):
        work_at(target, "a", keep=True, error=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(ZeroDivisionError):
        work_at(target, "a", keep=True, error=ZeroDivisionError())
    assert [path.name for path in tmp_path.iterdir()] == [".set.part"]
    assert work_at(target, "a") == ["part_0", "part_1"]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert sorted(path.name for path in target.iterdir()) == ["part_0", "part_1", "part_2"]


@pytest.mark.parametrize("purpose", ["b", None])
def test_work_for_another_purpose_is_not_gone_on_with(tmp_path: Path, purpose: str | None) -> None:
    with pytest.raises(InputError):
        work_at(tmp_path / "set", "a", keep=True, error=InputError("wrong"))
    (tmp_path / ".set.part/folder").mkdir()
    assert work_at(tmp_path / "set", purpose) == []
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["part_0"]


def test_a_folder_is_made_by_one_at_a_time(tmp_path: Path) -> None:
    target = tmp_path / "set"
    with resumable_folder(target, "a") as unfinished:
        (unfinished.folder / "x").write_text("1")
        with pytest.raises(InputError, match=r"Another run is writing .*set now; wait for it"):
            work_at(target, "a")
        with pytest.raises(InputError, match=r"Another run is writing"):
            work_at(target, "b")
        assert (unfinished.folder / "x").read_text() == "1"
    with pytest.raises(InputError, match="exists already"):
        work_at(target, "a")
    assert [path.name for path in target.iterdir()] == ["x"]


def test_the_lock_is_held_until_the_folder_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another run would come in between, take the finished work for left work, and empty it."""
    target, replace, refused = tmp_path / "set", Path.replace, []

    def replaced(self: Path, to: Path) -> Path:
        with pytest.raises(InputError) as caught:
            work_at(target, "b")
        refused.append(str(caught.value))
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", replaced)
    assert work_at(target, "a") == []
    assert refused == [f"Another run is writing {target} now; wait for it or choose another folder."]
    assert [path.name for path in target.iterdir()] == ["part_0"]


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("mine")
    with pytest.raises(InputError, match="exists already"), resumable_folder(tmp_path / "full", "a"):
        pass
    with pytest.raises(InputError, match="does not exist"), resumable_folder(tmp_path / "no" / "set", "a"):
        pass
    with pytest.raises(InputError, match="does not exist"), atomic_file(tmp_path / "no" / "x.tif"):
        pass
    with pytest.raises(InputError, match="is a folder"), atomic_file(tmp_path / "full"):
        pass
    assert (tmp_path / "full" / "x").read_text() == "mine"


def test_a_folder_that_one_may_not_write_to() -> None:
    """Root may write anywhere, so that the test becomes nobody meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder, user = Path(name), os.geteuid()
        folder.chmod(0o555)
        os.seteuid(65534 if user == 0 else user)
        try:
            with pytest.raises(
                OutputError, match=r"Cannot write .*set: permission is denied; choose a folder that you"
            ):
                work_at(folder / "set", "a")
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
        assert list(folder.iterdir()) == []


def test_too_little_space_is_refused_before_the_work(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(OutputError, match=r"needs about 1000000000000 MB but .* free"):
        require_space(tmp_path, 10**18)


@pytest.fixture
def queue() -> Iterator[JobQueue]:
    jobs = JobQueue()
    yield jobs
    jobs.shutdown()


def test_a_job_tells_how_far_it_is_and_what_came_out(queue: JobQueue) -> None:
    def work(progress: Progress) -> dict[str, Any]:
        progress(0.5, "half")
        return {"answer": 42}

    job = queue.submit("think", work)
    states = list(queue.events(job.id))
    assert states[-1] == {
        **states[-1],
        "state": "done",
        "progress": 1.0,
        "result": {"answer": 42},
        "error": None,
    }


def test_a_running_job_stops_when_asked(queue: JobQueue) -> None:
    started, stopped = threading.Event(), threading.Event()

    def work(progress: Progress) -> dict[str, Any]:
        started.set()
        try:
            while True:
                progress(0.1, "going on")
        finally:
            stopped.set()

    job = queue.submit("endless", work)
    assert started.wait(10)
    queue.cancel(job.id)
    waited = queue.wait(job.id, 10)
    assert waited is not None
    assert waited.state == "cancelled"
    assert stopped.is_set()


def test_a_queued_job_is_cancelled_at_once_and_never_runs(queue: JobQueue) -> None:
    gate, ran = threading.Event(), threading.Event()

    def first(progress: Progress) -> dict[str, Any]:
        gate.wait(10)
        return {}

    def second(progress: Progress) -> dict[str, Any]:
        ran.set()
        return {}

    queue.submit("first", first)
    job = queue.submit("second", second)
    queue.cancel(job.id)
    assert job.state == "cancelled"
    gate.set()
    assert queue.wait(queue.submit("last", lambda progress: {}).id, 10) is not None
    assert not ran.is_set()


def test_faults_become_sentences_and_the_queue_goes_on(queue: JobQueue) -> None:
    def wrong(progress: Progress) -> dict[str, Any]:
        raise InputError("x is wrong; do y.")

    def broken(progress: Progress) -> dict[str, Any]:
        raise ZeroDivisionError("division by zero")

    refused, failed = queue.submit("a", wrong), queue.submit("encode", broken)
    queue.wait(failed.id, 10)
    assert refused.error == {"message": "x is wrong; do y.", "exit_code": 2}
    assert failed.error is not None
    assert failed.error["message"].startswith("The encode job failed inside the backend (ZeroDivisionError")
    assert queue.wait(queue.submit("b", lambda progress: {"ok": True}).id, 10).result == {"ok": True}  # type: ignore[union-attr]


def test_a_download_holds_up_no_encode_but_the_next_download(queue: JobQueue) -> None:
    gate, started = threading.Event(), threading.Event()

    def slow(progress: Progress) -> dict[str, Any]:
        started.set()
        assert gate.wait(10)
        return {}

    first = queue.submit("weights_download", slow, "network")
    assert started.wait(10)
    second = queue.submit("weights_download", lambda progress: {}, "network")
    encode = queue.submit("encode", lambda progress: {"ok": True})
    assert queue.wait(encode.id, 10).result == {"ok": True}  # type: ignore[union-attr]
    assert (first.state, second.state) == ("running", "queued")
    gate.set()
    assert queue.wait(second.id, 10).state == "done"  # type: ignore[union-attr]


def test_shutdown_stops_every_lane() -> None:
    jobs = JobQueue()

    def endless(progress: Progress) -> dict[str, Any]:
        while True:
            progress(0.1, "going on")

    running = [jobs.submit("a", endless, lane) for lane in ("device", "network", "disk")]
    jobs.shutdown()
    assert [job.state for job in running] == ["cancelled"] * 3


def test_part_fills_its_stretch() -> None:
    seen: list[float] = []
    inner = part(lambda fraction, message="": seen.append(fraction), 0.2, 0.6)
    for fraction in (0.0, 0.5, 1.0):
        inner(fraction, "")
    assert seen == pytest.approx([0.2, 0.4, 0.6])
