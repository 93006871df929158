# SPDX-License-Identifier: GPL-2.0-or-later
"""Downloads from a server that cuts off, stalls, redirects, is busy, sends other bytes and changes its files."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from ssl4eo.encoders.cards import Card, WeightFile, get_card
from ssl4eo.encoders.weights import describe, find, require
from ssl4eo.encoders.weights.download import DownloadError, download
from ssl4eo.encoders.weights.records import checksum, lock_of
from ssl4eo.encoders.weights.transfer import Patience
from ssl4eo.errors import Cancelled, OutputError
from ssl4eo.jobs import Progress
from weight_server import Behaviour, File, WeightServer, wait_until

BODY = bytes(range(256)) * 6000
SHA256 = hashlib.sha256(BODY).hexdigest()
NAME = "weights-of-a-test.pth"
PATH = f"/owner/name/resolve/commit/{NAME}"


@pytest.fixture
def server() -> Iterator[WeightServer]:
    with WeightServer() as server:
        server.files[PATH] = File(BODY)
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "weights" / "moco-resnet18-s2"


@pytest.fixture
def card(folder: Path) -> Card:
    return with_files(WeightFile(NAME, "flat", url=f"https://huggingface.co{PATH}", sha256=SHA256[:8], size_mb=1.5))


def with_files(*files: WeightFile) -> Card:
    return msgspec.structs.replace(get_card("moco-resnet18-s2"), files=files)


class Pauses(list[float]):
    """Stands where time.sleep stands, and adds up what was waited for in slices."""

    def patience(self, **changed: Any) -> Patience:
        return Patience(**{"tries": 4, "connect": 30.0, "stall": 30.0, "sleep": self.append, **changed})


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".lock"}


def test_a_file_arrives_whole_with_its_record(server: WeightServer, card: Card, folder: Path) -> None:
    told: list[tuple[float, str]] = []
    result = download(card, mirror=server.url, progress=lambda f, m="": told.append((f, m)))
    assert result.pop("seconds") >= 0
    assert result == {
        "encoder": card.id,
        "path": str(folder / NAME),
        "sha256": SHA256,
        "verified": "published checksum",
        "source": f"{server.url}{PATH}",
    }
    assert (folder / NAME).read_bytes() == BODY
    assert names(folder) == {NAME, "record.json"}
    assert require(card).sha256 == SHA256
    described = describe(card)
    assert (described["state"], described["available"], described["size_mb"]) == ("present", True, 1.5)
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_what_is_here_and_intact_is_not_asked_for_again(server: WeightServer, card: Card, folder: Path) -> None:
    download(card, mirror=server.url)
    assert download(card, mirror=server.url)["sha256"] == SHA256
    assert len(server.asked) == 1
    (folder / NAME).write_bytes(b"rotten" + BODY[6:])
    assert download(card, mirror=server.url)["sha256"] == SHA256
    assert len(server.asked) == 2
    assert (folder / NAME).read_bytes() == BODY


@pytest.mark.parametrize("break_", [Behaviour(cut=700_000), Behaviour(stall=700_000)])
def test_a_broken_connection_is_continued_from_where_it_broke(
    server: WeightServer, card: Card, folder: Path, break_: Behaviour
) -> None:
    server.behave(PATH, break_)
    pauses = Pauses()
    # A server that stalls is what takes this time; one that cuts off takes none.
    stall = 30.0 if break_.stall is None else 1.0
    download(card, mirror=server.url, patience=pauses.patience(stall=stall))
    assert (folder / NAME).read_bytes() == BODY
    first, second = server.asked
    assert "range" not in first.headers
    assert second.headers["range"] == "bytes=700000-"
    assert second.headers["if-range"] == '"one"'
    assert sum(pauses) == pytest.approx(1.0)


def test_a_server_that_gives_less_than_was_asked_for_is_asked_for_the_rest(
    server: WeightServer, card: Card, folder: Path
) -> None:
    server.behave(PATH, Behaviour(cut=700_000), Behaviour(portion=100))
    download(card, mirror=server.url, patience=Pauses().patience())
    assert [asked.headers.get("range") for asked in server.asked] == [None, "bytes=700000-", "bytes=700100-"]
    assert (folder / NAME).read_bytes() == BODY


def test_a_server_without_ranges_starts_anew(server: WeightServer, card: Card, folder: Path) -> None:
    server.files[PATH].ranges = False
    server.behave(PATH, Behaviour(cut=700_000))
    download(card, mirror=server.url, patience=Pauses().patience())
    assert (folder / NAME).read_bytes() == BODY
    assert server.asked[1].headers["range"] == "bytes=700000-"


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_strong_validator_nothing_is_continued(
    server: WeightServer, card: Card, folder: Path, etag: str
) -> None:
    server.files[PATH].etag = etag
    server.behave(PATH, Behaviour(cut=700_000))
    download(card, mirror=server.url, patience=Pauses().patience())
    assert (folder / NAME).read_bytes() == BODY
    assert "range" not in server.asked[1].headers


def test_a_file_that_changes_between_two_tries_is_never_mixed(server: WeightServer, card: Card, folder: Path) -> None:
    server.files[PATH] = File(b"x" * len(BODY), etag='"old"')
    server.behave(PATH, Behaviour(cut=700_000), Behaviour(swap=File(BODY, etag='"new"')))
    download(card, mirror=server.url, patience=Pauses().patience())
    assert server.asked[1].headers["if-range"] == '"old"'
    assert (folder / NAME).read_bytes() == BODY


def test_a_part_longer_than_the_file_is_dropped_at_416(server: WeightServer, card: Card, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(b"y" * (len(BODY) + 5))
    note = {"url": f"{server.url}{PATH}", "validator": '"one"', "total": None}
    (folder / f"{NAME}.part.json").write_text(json.dumps(note))
    download(card, mirror=server.url, patience=Pauses().patience())
    assert [asked.headers.get("range") for asked in server.asked] == [f"bytes={len(BODY) + 5}-", None]
    assert (folder / NAME).read_bytes() == BODY


def test_a_length_that_is_not_told_is_no_hindrance(server: WeightServer, card: Card, folder: Path) -> None:
    server.files[PATH].tells_length = False
    assert download(card, mirror=server.url)["sha256"] == SHA256


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "7"}, 7), ({"Retry-After": "100000"}, 60), ({}, 1), ({"Retry-After": "soon"}, 1)],
)
def test_a_busy_server_is_given_the_time_that_it_asks_for(
    server: WeightServer, card: Card, folder: Path, headers: dict[str, str], seconds: float
) -> None:
    server.behave(PATH, Behaviour(status=429, headers=headers))
    pauses = Pauses()
    download(card, mirror=server.url, patience=pauses.patience())
    assert sum(pauses) == pytest.approx(seconds)


def test_a_server_that_always_fails_is_left_after_a_few_tries(server: WeightServer, card: Card, folder: Path) -> None:
    server.behave(PATH, *[Behaviour(status=500)] * 9)
    pauses = Pauses()
    with pytest.raises(DownloadError) as caught:
        download(card, mirror=server.url, patience=pauses.patience())
    assert str(caught.value) == (
        f"The weights of {card.id} could not be downloaded: {server.url}{PATH} answered 500 (4 tries); "
        f"{server.url}/{NAME} is not there (404); try again later, or get {NAME} by hand and run "
        f"`ssl4eo weights import FILE --as {card.id}`."
    )
    assert sum(pauses) == pytest.approx(1 + 2 + 4)


@pytest.mark.parametrize(
    ("status", "words"), [(404, "is not there (404)"), (403, "is forbidden (403)"), (401, "wants a sign-in (401)")]
)
def test_a_refusal_is_final(server: WeightServer, card: Card, folder: Path, status: int, words: str) -> None:
    server.behave(PATH, Behaviour(status=status))
    with pytest.raises(DownloadError) as caught:
        download(card, mirror=server.url)
    assert f"{server.url}{PATH} {words}; " in str(caught.value)
    assert [asked.path for asked in server.asked] == [PATH, f"/{NAME}"]
    assert find(card) is None


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_is_no_file_and_the_next_address_is_asked(
    server: WeightServer, folder: Path, content_type: str
) -> None:
    drive = WeightFile("from-drive.pth", "full", url="https://drive.example/download?id=1&confirm=t", sha256=SHA256)
    card = with_files(drive, WeightFile(NAME, "flat", url=f"https://huggingface.co{PATH}", sha256=SHA256))
    page = File(b"\n<!DOCTYPE html><title>Quota exceeded</title>", content_type=content_type)
    server.files["/from-drive.pth"] = page
    assert download(card, mirror=server.url)["path"] == str(folder / NAME)
    (folder / NAME).unlink()
    server.files[PATH] = server.files[f"/{NAME}"] = page
    with pytest.raises(DownloadError) as caught:
        download(card, mirror=server.url)
    assert f"{server.url}/from-drive.pth answered with a web page instead of the file" in str(caught.value)
    assert f"get from-drive.pth or {NAME} by hand" in str(caught.value)
    # Of a page nothing is kept that a download could continue.
    assert names(folder) == {"record.json"}
    assert describe(card)["state"] == "absent"


def test_wrong_bytes_are_deleted_and_both_checksums_said(server: WeightServer, folder: Path) -> None:
    card = with_files(WeightFile(NAME, "flat", url=f"https://huggingface.co/{NAME}", sha256=SHA256[:8]))
    server.files[f"/{NAME}"] = File(b"z" * 1000)
    actual = hashlib.sha256(b"z" * 1000).hexdigest()
    with pytest.raises(DownloadError) as caught:
        download(card, mirror=server.url)
    assert str(caught.value) == (
        f"The weights of {card.id} could not be downloaded: {server.url}/{NAME} sent another file, now deleted: its "
        f"sha256 is {actual}, the published one is {SHA256[:8]}; try again later, or get {NAME} by hand and run "
        f"`ssl4eo weights import FILE --as {card.id}`."
    )
    assert names(folder) == set()


def test_without_a_published_checksum_the_tensors_decide(server: WeightServer, folder: Path, repository: Path) -> None:
    real = repository / "resources" / "encoders" / "moco-resnet18w32-s2.pth"
    server.files[PATH] = File(real.read_bytes())
    file = WeightFile(NAME, "flat", url=f"https://huggingface.co{PATH}")
    half = msgspec.structs.replace(with_files(file), backbone="resnet18w32")
    result = download(half, mirror=server.url)
    assert (result["verified"], require(half).sha256) == ("tensors", result["sha256"])
    (folder / NAME).unlink()
    with pytest.raises(
        DownloadError, match="holds resnet18w32 for 13 bands, but moco-resnet18-s2 is resnet18 for 13 bands"
    ):
        download(with_files(file), mirror=server.url)
    assert names(folder) == {"record.json"}


def test_cancel_is_heard_while_the_server_stalls_and_the_next_call_continues(
    server: WeightServer, card: Card, folder: Path
) -> None:
    server.behave(PATH, Behaviour(stall=700_000))
    outcome: list[BaseException] = []
    cancelled = threading.Event()

    def progress(_: float, __: str = "") -> None:
        if cancelled.is_set():
            raise Cancelled("Cancelled.")

    def run() -> None:
        try:
            download(card, mirror=server.url, progress=progress, patience=Patience(stall=60))
        except Cancelled as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert server.stalled.wait(30)
    part = folder / f"{NAME}.part"
    wait_until(lambda: part.exists() and part.stat().st_size > 0)
    cancelled.set()
    # Far less than the stall that the patience allows; a second on a machine that is not busy.
    thread.join(10)
    assert outcome
    assert names(folder) == {f"{NAME}.part", f"{NAME}.part.json"}
    assert describe(card)["state"] == "partial"
    arrived = part.stat().st_size
    assert 0 < arrived <= 700_000
    download(card, mirror=server.url)
    assert server.asked[1].headers["range"] == f"bytes={arrived}-"
    assert (folder / NAME).read_bytes() == BODY


def test_a_full_disk_is_refused_before_the_first_byte(
    server: WeightServer, card: Card, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 40_000_000}))
    with pytest.raises(OutputError, match=r"needs about 52 MB but .* has only 40 MB free"):
        download(card, mirror=server.url)
    assert names(folder) == set()


def test_a_second_download_waits_for_the_first_and_finds_its_file(
    server: WeightServer, card: Card, folder: Path
) -> None:
    told: list[str] = []
    lock = lock_of(card)
    lock.acquire()

    def progress(_: float, message: str = "") -> None:
        told.append(message)
        if len(told) == 1:
            # What the first one does at its end.
            lock.release()

    download(card, mirror=server.url, progress=progress)
    assert told[0] == f"Waiting: the weights of {card.id} are being downloaded or imported already"
    assert find(card) == folder / NAME


def test_what_is_here_and_intact_needs_no_lock(
    server: WeightServer, card: Card, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(card, mirror=server.url)

    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / ".lock"))

    # As in a folder of another user, also where these tests run as root, whom no permission holds.
    monkeypatch.setattr("filelock.FileLock.acquire", forbidden)
    assert download(card, mirror=server.url)["sha256"] == SHA256
    (folder / NAME).unlink()
    with pytest.raises(OutputError, match=f"Cannot write {folder}: permission is denied; choose a folder"):
        download(card, mirror=server.url)
    assert len(server.asked) == 1


def test_a_damaged_file_is_hashed_once_and_hashing_hears_cancel(
    server: WeightServer, card: Card, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download(card, mirror=server.url)
    (folder / NAME).write_bytes(b"rotten" + BODY[6:])
    hashed: list[Path] = []

    def spy(path: Path, progress: Progress) -> str:
        hashed.append(path)
        return checksum(path, progress)

    def cancel(_: float, message: str = "") -> None:
        if message == f"Checking {NAME}":
            raise Cancelled("Cancelled.")

    monkeypatch.setattr("ssl4eo.encoders.weights.local.checksum", spy)
    with pytest.raises(Cancelled):
        download(card, mirror=server.url, progress=cancel)
    assert len(hashed) == 1
    download(card, mirror=server.url)
    assert len(hashed) == 2


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_process_that_is_killed_leaves_no_file_under_the_final_name(
    server: WeightServer, card: Card, folder: Path
) -> None:
    server.behave(PATH, Behaviour(stall=700_000))
    code = (
        "import msgspec, sys; from ssl4eo.encoders.cards import WeightFile, get_card\n"
        "from ssl4eo.encoders.weights.download import download\n"
        f"file = WeightFile({NAME!r}, 'flat', url='https://huggingface.co{PATH}', sha256={SHA256!r})\n"
        f"download(msgspec.structs.replace(get_card({card.id!r}), files=(file,)), mirror={server.url!r})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert server.stalled.wait(60)
        wait_until((folder / f"{NAME}.part").exists)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert NAME not in names(folder)
    assert find(card) is None
    assert download(card, mirror=server.url)["sha256"] == SHA256
