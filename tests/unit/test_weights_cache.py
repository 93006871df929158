# SPDX-License-Identifier: GPL-2.0-or-later
"""What is kept of weights on this computer: when they are hashed, found damaged, checked and removed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ssl4eo.encoders.cards import DEFAULT_ENCODER, Card, get_card
from ssl4eo.encoders.weights import describe, find, local, require, weights_folder
from ssl4eo.encoders.weights.download import download
from ssl4eo.encoders.weights.records import checksum, folder_of, lock_of, read_record
from ssl4eo.encoders.weights.upkeep import install, remove, verify
from ssl4eo.errors import Cancelled, InputError

BODY = b"weights" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


@pytest.fixture
def card() -> Card:
    return get_card("mae-vits16-s2")


@pytest.fixture
def path(card: Card) -> Path:
    with lock_of(card):
        (folder_of(card) / "x.part").write_bytes(BODY)
        return install(
            card, folder_of(card) / "x.part", "mine.pth", sha256=SHA256, source="https://x/y", verified="tensors"
        ).path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were hashed."""
    seen: list[Path] = []

    def spy(path: Path, progress: object = None) -> str:
        seen.append(path)
        return checksum(path)

    monkeypatch.setattr(local, "checksum", spy)
    return seen


def move_time(path: Path) -> None:
    """Change a file's time of change, without changing its bytes."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_the_folder_is_the_users_unless_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    assert weights_folder() == folder
    monkeypatch.delenv("SSL4EO_WEIGHTS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    if sys.platform == "linux":
        assert weights_folder() == tmp_path / "data" / "ssl4eo" / "weights"
    monkeypatch.setenv("SSL4EO_WEIGHTS", "~/w")
    assert weights_folder() == Path.home() / "w"


def test_absent_weights_are_refused_with_the_remedy(card: Card) -> None:
    assert find(card) is None
    with pytest.raises(InputError) as caught:
        require(card)
    assert str(caught.value) == (
        f"The weights of {card.id} are not on this computer; run `ssl4eo weights download {card.id}`, or import its "
        f"file with `ssl4eo weights import FILE --as {card.id}`."
    )
    described = describe(card)
    assert (described["state"], described["available"], described["path"]) == ("absent", False, None)
    assert (described["downloadable"], described["size_mb"]) == (True, 90.6)
    assert {"id", "bands", "license", "strides"} <= set(described)


def test_weights_are_hashed_only_when_they_changed(card: Card, path: Path, hashed: list[Path]) -> None:
    assert (require(card).path, require(card).sha256) == (path, SHA256)
    assert hashed == []
    move_time(path)
    assert require(card).sha256 == SHA256
    assert require(card).sha256 == SHA256
    assert hashed == [path]


def test_damage_is_found_said_and_remembered(card: Card, path: Path, hashed: list[Path]) -> None:
    path.write_bytes(b"x" + BODY[1:])
    move_time(path)
    damaged = hashlib.sha256(b"x" + BODY[1:]).hexdigest()
    with pytest.raises(InputError, match=f"mine.pth is damaged: its sha256 is {damaged}, that of .* is {SHA256}; run"):
        require(card)
    assert (describe(card)["state"], describe(card)["available"]) == ("damaged", False)
    path.write_bytes(BODY)
    move_time(path)
    assert require(card).sha256 == SHA256
    assert describe(card)["state"] == "present"
    assert hashed == [path, path]


def test_a_stale_finding_is_not_noted_over_a_fresh_record(
    card: Card, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, progress: object = None) -> str:
        found = checksum(path)
        with lock_of(card):
            (folder_of(card) / "y.part").write_bytes(b"new")
            sha256 = hashlib.sha256(b"new").hexdigest()
            install(card, folder_of(card) / "y.part", "new.pth", sha256=sha256, source="s", verified="tensors")
        return found

    monkeypatch.setattr(local, "checksum", slow)
    move_time(path)
    assert require(card).path == path
    assert find(card) == folder_of(card) / "new.pth"
    record = read_record(folder_of(card) / "record.json")
    assert record is not None
    assert (record.file, record.source) == ("new.pth", "s")


def test_a_finding_is_not_noted_while_another_is_at_work(card: Card, path: Path, hashed: list[Path]) -> None:
    move_time(path)
    before = read_record(folder_of(card) / "record.json")
    with lock_of(card):
        assert require(card).sha256 == SHA256
    assert read_record(folder_of(card) / "record.json") == before
    require(card)
    require(card)
    assert len(hashed) == 2


def test_a_file_of_another_size_is_damaged_without_a_hash(card: Card, path: Path, hashed: list[Path]) -> None:
    path.write_bytes(BODY[:-1])
    assert describe(card)["state"] == "damaged"
    assert hashed == []


def test_a_record_that_cannot_be_read_is_none(card: Card, path: Path) -> None:
    (path.parent / "record.json").write_text('{"file": 5}')
    assert find(card) is None
    assert describe(card)["state"] == "absent"


def test_what_a_cut_off_download_left_is_partial(card: Card) -> None:
    folder_of(card).mkdir(parents=True)
    (folder_of(card) / "w.pth.part").touch()
    assert describe(card)["state"] == "partial"
    assert remove(card.id)["freed_mb"] == 0
    assert describe(card)["state"] == "absent"


def test_the_bundled_file_is_hashed_once(hashed: list[Path]) -> None:
    card = get_card(DEFAULT_ENCODER)
    first, second = require(card), require(card)
    assert first == second
    assert first.sha256 == card.files[0].sha256
    assert hashed == [first.path]
    described = describe(card)
    assert (described["state"], described["downloadable"], described["path"]) == ("bundled", False, str(first.path))


def test_a_cache_that_cannot_be_written_costs_a_hash_each_time(folder: Path, hashed: list[Path]) -> None:
    folder.write_text("no folder can be made here")
    require(get_card(DEFAULT_ENCODER))
    require(get_card(DEFAULT_ENCODER))
    assert len(hashed) == 2
    with pytest.raises(InputError, match=r"a file is in its way; name another in SSL4EO_WEIGHTS"):
        lock_of(get_card("mae-vits16-s2"))


def test_a_bundled_file_that_is_not_the_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = get_card(DEFAULT_ENCODER)
    require(card)
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path / "resources"))
    with pytest.raises(InputError, match=f"not on this computer; restore {card.files[0].name} by installing"):
        require(card)
    other = tmp_path / "resources" / card.files[0].name
    other.parent.mkdir(parents=True)
    other.write_bytes(BODY)
    with pytest.raises(InputError, match=f"is damaged: its sha256 is {SHA256}"):
        require(card)
    assert describe(card)["state"] == "damaged"


def test_the_bundled_encoder_is_here_or_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = get_card(DEFAULT_ENCODER)
    # Whoever asked this address would fail.
    monkeypatch.setenv("SSL4EO_MIRROR", "http://localhost:1")
    result = download(bundled)
    assert (result["sha256"], result["source"]) == (bundled.files[0].sha256, "bundled")
    monkeypatch.setenv("SSL4EO_RESOURCES", str(tmp_path))
    with pytest.raises(InputError, match=f"{bundled.id} cannot be downloaded; restore {bundled.files[0].name} by"):
        download(bundled)


def test_a_new_file_takes_the_place_of_the_old(card: Card, path: Path) -> None:
    (folder_of(card) / "y.part").write_bytes(b"new")
    sha256 = hashlib.sha256(b"new").hexdigest()
    install(card, folder_of(card) / "y.part", "new.pth", sha256=sha256, source="s", verified="tensors")
    assert not path.exists()
    assert require(card).path.name == "new.pth"
    record = read_record(folder_of(card) / "record.json")
    assert record is not None
    assert (record.file, record.sha256, record.verified, record.intact) == ("new.pth", sha256, "tensors", True)


def test_verify_hashes_everything_again(card: Card, path: Path) -> None:
    fractions: list[float] = []
    rows = verify(progress=lambda fraction, message="": fractions.append(fraction))["rows"]
    assert [(row["encoder"], row["state"]) for row in rows] == [(DEFAULT_ENCODER, "ok"), (card.id, "ok")]
    assert rows[1]["sentence"] == f"{path} is intact; it was identified by tensors."
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    status = path.stat()
    path.write_bytes(b"x" + BODY[1:])
    # Rot on the disk changes neither size nor time.
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert require(card).sha256 == SHA256
    (row,) = verify(card.id)["rows"]
    assert row["state"] == "damaged"
    assert f"instead of {SHA256}; run `ssl4eo weights download {card.id}`" in row["sentence"]
    with pytest.raises(InputError, match="is damaged"):
        require(card)


def test_verify_says_when_the_card_names_another_file_now() -> None:
    card = get_card("moco-resnet18-s2")
    with lock_of(card):
        (folder_of(card) / "x.part").write_bytes(BODY)
        name = card.files[0].name
        install(card, folder_of(card) / "x.part", name, sha256=SHA256, source="s", verified="published checksum")
    (row,) = verify(card.id)["rows"]
    assert (row["state"], "the card now names the sha256 59bfdff9" in row["sentence"]) == ("changed", True)


def test_verify_of_what_is_not_here(card: Card) -> None:
    with pytest.raises(InputError, match=f"The weights of {card.id} are not on this computer"):
        verify(card.id)
    with pytest.raises(InputError, match="There is no encoder 'x'"):
        verify("x")


def test_hashing_can_be_cancelled(path: Path) -> None:
    def cancel(_: float, __: str = "") -> None:
        raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        verify(progress=cancel)


def test_remove_gives_the_space_back(card: Card, path: Path) -> None:
    assert remove(card.id) == {"encoder": card.id, "freed_mb": 0.0}
    assert not path.exists()
    assert find(card) is None
    with pytest.raises(InputError, match=f"The weights of {card.id} are not in .*; there is nothing to remove"):
        remove(card.id)
    with pytest.raises(InputError, match="come with the software and cannot be removed"):
        remove(DEFAULT_ENCODER)


def test_what_is_being_brought_is_not_removed(card: Card, path: Path) -> None:
    with lock_of(card), pytest.raises(InputError) as caught:
        remove(card.id)
    assert str(caught.value) == (f"The weights of {card.id} are being downloaded or imported; cancel that first.")
    assert path.exists()


def test_the_list_imports_neither_torch_nor_the_network() -> None:
    code = (
        "import sys\nfrom ssl4eo.encoders.cards import load_cards\nfrom ssl4eo.encoders.weights import describe\n"
        "[describe(card) for card in load_cards().values()]\n"
        "print([m for m in ('torch', 'httpx2', 'rasterio', 'filelock', 'ssl', 'numpy') if m in sys.modules])"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert outcome.stdout.strip() == "[]"
