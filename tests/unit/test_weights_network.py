# SPDX-License-Identifier: GPL-2.0-or-later
"""Mirrors, proxies, certificates and redirects, as the environment and the servers have them."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from ssl4eo.encoders.cards import Card, WeightFile, get_card
from ssl4eo.encoders.weights import describe
from ssl4eo.encoders.weights.client import Address, shown
from ssl4eo.encoders.weights.download import DownloadError, download
from ssl4eo.encoders.weights.transfer import Patience
from ssl4eo.errors import InputError
from weight_server import Behaviour, File, WeightServer, forwarding_proxy

BODY = b"weights" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
ONCE = Patience(tries=1, connect=5, stall=5)


@pytest.fixture(autouse=True)
def _bare_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL4EO_WEIGHTS", str(tmp_path / "weights"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", *CERTIFICATES, "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def card_at(*urls: str) -> Card:
    files = tuple(WeightFile("w.pth", "flat", url=url, sha256=SHA256) for url in urls)
    return msgspec.structs.replace(get_card("moco-resnet18-s2"), files=files)


CARD = card_at("https://huggingface.co/commit/w.pth")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a company's own authority (ca.pem) and a server's certificate that it signed (server.pem)."""
    folder = tmp_path_factory.mktemp("authority")
    (folder / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for arguments in (
        (
            "req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=Company -keyout ca.key -out ca.pem "
            "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
        ),
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile names -out server.crt",
    ):
        subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
    (folder / "server.pem").write_text((folder / "server.key").read_text() + (folder / "server.crt").read_text())
    return folder


@pytest.fixture
def secure(authority: Path) -> Iterator[WeightServer]:
    with WeightServer(authority / "server.pem") as server:
        server.files["/w.pth"] = File(BODY)
        yield server


def test_a_mirror_may_hold_the_file_by_its_name_alone() -> None:
    with WeightServer() as server:
        server.files["/flat/w.pth"] = File(BODY)
        assert download(CARD, mirror=f"{server.url}/flat/")["source"] == f"{server.url}/flat/w.pth"
        assert [asked.path for asked in server.asked] == ["/flat/commit/w.pth", "/flat/w.pth"]


@pytest.mark.parametrize("variable", ["SSL4EO_MIRROR", "HF_ENDPOINT"])
def test_the_environment_names_a_mirror(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    with WeightServer() as server:
        server.files["/commit/w.pth"] = File(BODY)
        monkeypatch.setenv(variable, server.url)
        assert download(CARD)["source"] == f"{server.url}/commit/w.pth"


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ("ftp://anna:geheim@x/y", " 'ftp://x/y'"),
        ("mirror.example", " 'mirror.example'"),
        ("http://", " 'http://'"),
        ("https://x/y?token=geheim", " 'https://x/y'"),
        ("http://host:port", " 'http://host:port'"),
        ("http://h:99999/x", " 'http://h:99999/x'"),
        ("http://[::1", " 'http://[::1'"),
        ("http://256.256.256.256", " 'http://256.256.256.256'"),
        ("http://x..y/", " 'http://x..y/'"),
        ("http://anna:ge?heim@host:port", ""),
        ("http://[::1/?token=geheim", ""),
    ],
)
def test_a_mirror_that_is_no_address_is_refused(tmp_path: Path, mirror: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        download(CARD, mirror=mirror)
    assert str(caught.value) == f"The mirror{said} is no address; give one such as https://mirror.example/weights."
    assert not (tmp_path / "weights").exists()


def test_credentials_of_a_mirror_are_used_but_neither_shown_nor_stored(tmp_path: Path) -> None:
    folder = tmp_path / "weights" / CARD.id
    told: list[str] = []
    stored: list[str] = []

    def progress(_: float, message: str = "") -> None:
        told.append(message)
        stored.extend(path.read_text() for path in folder.glob("*.json"))

    with WeightServer() as server:
        server.files["/commit/w.pth"] = File(BODY)
        server.behave("/commit/w.pth", Behaviour(cut=10), Behaviour(status=503))
        mirror = server.url.replace("//", "//anna:geheim@")
        result = download(CARD, mirror=mirror, patience=Patience(sleep=lambda _: None), progress=progress)
        assert server.asked[0].headers["authorization"].startswith("Basic ")
        assert stored
        assert "geheim" not in json.dumps([result, told, stored, (folder / "record.json").read_text()])
        server.files.clear()
        (folder / "w.pth").unlink()
        with pytest.raises(DownloadError) as caught:
            download(CARD, mirror=mirror)
    assert "geheim" not in str(caught.value)


def test_redirects_are_followed_and_stay_out_of_the_record(tmp_path: Path) -> None:
    with WeightServer() as server:
        server.files["/cdn/blob"] = File(BODY)
        server.behave("/commit/w.pth", Behaviour(status=302, headers={"Location": "/cdn/blob?X-Signature=secret"}))
        assert download(CARD, mirror=server.url)["source"] == f"{server.url}/commit/w.pth"
    assert "secret" not in (tmp_path / "weights" / CARD.id / "record.json").read_text()


def test_neither_password_nor_query_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with WeightServer() as server:
        server.files["/cdn/blob"] = File(BODY)
        server.behave("/commit/w.pth", Behaviour(status=302, headers={"Location": "/cdn/blob?X-Signature=secret"}))
        download(CARD, mirror=server.url.replace("//", "//anna:geheim@"))
    logging.getLogger(__name__).info("the end")
    assert "the end" in caplog.text
    assert [word for word in ("geheim", "secret", "X-Signature") if word in caplog.text] == []


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(secure: WeightServer) -> None:
    with pytest.raises(DownloadError) as caught:
        download(card_at(f"{secure.url}/w.pth"))
    assert f"{secure.url}/w.pth has a certificate that this computer does not trust" in str(caught.value)
    assert "name its certificate in SSL_CERT_FILE" in str(caught.value)
    assert secure.asked == []


@pytest.mark.parametrize("variable", CERTIFICATES)
def test_a_company_certificate_is_named_by_the_environment(
    secure: WeightServer, authority: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, str(authority / "ca.pem"))
    assert download(card_at(f"{secure.url}/w.pth"))["sha256"] == SHA256


def test_a_folder_of_certificates_serves_too(
    secure: WeightServer, authority: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "certs").mkdir()
    shutil.copy(authority / "ca.pem", tmp_path / "certs")
    subprocess.run(["openssl", "rehash", str(tmp_path / "certs")], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certs"))
    assert download(card_at(f"{secure.url}/w.pth"))["sha256"] == SHA256


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv("CURL_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(InputError, match=r"CURL_CA_BUNDLE names .*ca\.pem, which cannot be read as certificates"):
        download(card_at("https://localhost:1/w.pth"), patience=ONCE)


def test_an_encrypted_address_never_leads_to_one_that_is_not(
    secure: WeightServer, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    with WeightServer() as plain:
        plain.files["/w.pth"] = File(BODY)
        secure.behave("/w.pth", Behaviour(status=302, headers={"Location": f"{plain.url}/w.pth?sig=1"}))
        with pytest.raises(DownloadError, match=f"leads to {plain.url}/w.pth, which is not encrypted"):
            download(card_at(f"{secure.url}/w.pth"))
        assert plain.asked == []


def test_an_encrypted_mirror_neither(secure: WeightServer, authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    card = card_at("https://x.example/w.pth")
    with WeightServer() as plain:
        plain.files["/w.pth"] = File(BODY)
        secure.behave("/w.pth", *[Behaviour(status=302, headers={"Location": f"{plain.url}/w.pth"})] * 2)
        with pytest.raises(DownloadError, match=f"leads to {plain.url}/w.pth, which is not encrypted"):
            download(card, mirror=secure.url)
        monkeypatch.setenv("HF_ENDPOINT", secure.url)
        with pytest.raises(DownloadError, match=f"leads to {plain.url}/w.pth, which is not encrypted"):
            download(card_at("https://huggingface.co/w.pth"))
        assert plain.asked == []
        plain.behave("/w.pth", Behaviour(status=302, headers={"Location": f"{plain.url}/w.pth"}))
        assert download(card, mirror=plain.url)["sha256"] == SHA256


def test_a_published_query_is_shown_and_kept(
    secure: WeightServer, authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    one, two = (f"{secure.url}/w.pth?id={number}&confirm=t" for number in (1, 2))
    secure.behave("/w.pth", *[Behaviour(status=404)] * 2)
    with pytest.raises(DownloadError) as caught:
        download(card_at(one, two))
    assert f": {one} is not there (404); {two} is not there (404); " in str(caught.value)
    result = download(card_at(two))
    assert result["source"] == describe(card_at(two))["source"] == two


def test_a_redirect_to_what_is_no_host_is_said() -> None:
    with WeightServer() as server:
        server.behave("/w.pth", Behaviour(status=302, headers={"Location": "http://x..y/w.pth"}))
        with pytest.raises(DownloadError, match=r"/w\.pth cannot be asked \(UnicodeError\)"):
            download(card_at("https://x.example/w.pth"), mirror=server.url)


def test_a_circle_of_redirects_ends() -> None:
    with WeightServer() as server:
        server.files["/w.pth"] = File(BODY)
        server.behave("/w.pth", *[Behaviour(status=302, headers={"Location": "/w.pth"})] * 30)
        with pytest.raises(DownloadError, match=r"w\.pth leads in a circle"):
            download(card_at("https://x.example/w.pth"), mirror=server.url)


def test_the_environment_names_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    proxy = forwarding_proxy(seen)
    try:
        with WeightServer() as server:
            server.files["/w.pth"] = File(BODY)
            monkeypatch.setenv("HTTP_PROXY", f"http://user:geheim@127.0.0.1:{proxy.server_address[1]}")
            download(card_at("https://x.example/w.pth"), mirror=server.url)
            assert seen == [f"{server.url}/w.pth"]
            assert "authorization" not in server.asked[0].headers
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_no_proxy_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    with WeightServer() as server:
        server.files["/w.pth"] = File(BODY)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert download(card_at("https://x.example/w.pth"), mirror=server.url)["sha256"] == SHA256


@pytest.mark.parametrize("proxy", ["gopher://anna:geheim@127.0.0.1:9", "http://anna:geheim@[::1"])
def test_a_proxy_that_cannot_be_used_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InputError, match="The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names") as caught:
        download(card_at("https://x.example/w.pth"), patience=ONCE)
    assert "geheim" not in str(caught.value)


def test_a_proxy_that_wants_a_password_is_said() -> None:
    with WeightServer() as server:
        server.behave("/w.pth", Behaviour(status=407))
        with pytest.raises(DownloadError, match="because the proxy wants a user and password"):
            download(card_at("https://x.example/w.pth"), mirror=server.url)


def test_nobody_at_an_address_is_said() -> None:
    with WeightServer() as server:
        gone = server.url
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*refused.*\) \(1 tries\)"):
        download(card_at("https://x.example/w.pth"), mirror=gone, patience=ONCE)


def test_a_name_that_cannot_be_looked_up_ends_after_the_second_try(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    pauses: list[float] = []
    told: list[str] = []
    with pytest.raises(DownloadError, match=r"cannot be reached \(.*name resolution\) \(2 tries\)"):
        download(
            card_at("https://x.example/w.pth"),
            patience=Patience(sleep=pauses.append),
            progress=lambda _, message="": told.append(message),
        )
    assert sum(pauses) == pytest.approx(1.0)
    assert next(message for message in told if message.startswith("Waiting 1 s: ")).endswith("; try 2 of 2")


def test_a_network_that_is_lost_on_the_way_is_given_all_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = socket.getaddrinfo
    lost: list[int] = []

    def shaky(*arguments: object, **named: object) -> object:
        if server.asked and len(lost) < 3:
            lost.append(1)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return asked(*arguments, **named)

    with WeightServer() as server:
        server.files["/w.pth"] = File(BODY)
        server.behave("/w.pth", Behaviour(cut=1000))
        monkeypatch.setattr(socket, "getaddrinfo", shaky)
        patience = Patience(sleep=lambda _: None)
        assert download(card_at("https://x.example/w.pth"), mirror=server.url, patience=patience)["sha256"] == SHA256
    assert len(lost) == 3


def test_what_is_shown_of_an_address() -> None:
    assert shown("https://anna:geheim@x.example:8443/a/b.pth?token=1#top") == "https://x.example:8443/a/b.pth"
    assert shown("http://[::1]:80/a") == "http://[::1]:80/a"
    address = "https://anna:geheim@x.example/a?id=1#top"
    assert (str(Address(address)), str(Address(address, published=True))) == (
        "https://x.example/a",
        "https://x.example/a?id=1",
    )
    assert "geheim" not in repr(Address(address))
