# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting and ending the backend, with real processes for everything that can go wrong."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ssl4eo_plugin.engine import logs
from ssl4eo_plugin.engine.errors import EngineError, JobCancelled
from ssl4eo_plugin.engine.process import BackendProcess
from tests.qgis.helpers import ROOT, is_running, wait_until


def test_it_starts_on_first_need_once_and_ends_when_told(backend):
    assert not backend.alive
    client = backend.ensure_client()
    assert client.health()["protocol"] == 1
    assert client.url.startswith("http://127.0.0.1:")
    assert backend.ensure_client() is client
    pid = backend.pid
    assert is_running(pid)
    backend.stop()
    assert not backend.alive
    assert not is_running(pid)


def test_it_starts_in_spite_of_the_variables_that_qgis_exports(backend, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert backend.ensure_client().health()["status"] == "ok"


def test_it_starts_anew_after_it_was_killed_and_after_a_stop(backend):
    first = backend.ensure_client()
    pid = backend.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not backend.alive)
    second = backend.ensure_client()
    assert second is not first
    assert second.health()["status"] == "ok"
    backend.stop()
    assert backend.ensure_client().health()["status"] == "ok"


def test_once_closed_it_stays_closed(backend):
    backend.close()
    with pytest.raises(EngineError, match="closed"):
        backend.ensure_client()


def test_many_threads_start_one_backend(backend):
    clients = []
    threads = [threading.Thread(target=lambda: clients.append(backend.ensure_client())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 4
    assert len(set(map(id, clients))) == 1


def test_the_token_is_readable_by_its_owner_only_and_gone_after_the_start(backend_command, script, tmp_path, temp_root):
    seen = tmp_path / "seen.json"
    # Looks at its own arguments, then becomes the real backend.
    command = script(
        f"""
path = sys.argv[sys.argv.index("--token-file") + 1]
modes = [os.stat(p).st_mode & 0o777 for p in (path, os.path.dirname(path))]
json.dump({{"modes": modes, "token": open(path).read(), "argv": sys.argv}}, open({str(seen)!r}, "w"))
os.execv({backend_command[0]!r}, [{backend_command[0]!r}, *sys.argv[1:]])
"""
    )
    backend = BackendProcess(command, tmp_path / "logs")
    try:
        backend.ensure_client()
        told = json.loads(seen.read_text(encoding="utf-8"))
        assert told["modes"] == [0o600, 0o700]
        assert len(told["token"]) >= 32
        assert not any(told["token"] in part for part in told["argv"])
        assert told["token"].encode() not in Path(f"/proc/{backend.pid}/environ").read_bytes()
        assert told["token"] not in backend.log.read_text(encoding="utf-8")
        assert not [path for path in temp_root.rglob("*") if path.is_file()]
    finally:
        backend.close()


def test_it_dies_with_its_parent_even_if_that_is_killed(backend_command, tmp_path):
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                f"""
                import time
                from pathlib import Path
                from ssl4eo_plugin.engine.process import BackendProcess
                backend = BackendProcess({backend_command!r}, Path({str(tmp_path)!r}))
                backend.ensure_client()
                print(backend.pid, flush=True)
                time.sleep(600)
                """
            ),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    with parent:
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()
    wait_until(lambda: not is_running(pid))


def test_a_command_that_does_not_exist(tmp_path):
    with pytest.raises(EngineError, match=r"/no/such/program.*cannot be run.*No such file"):
        BackendProcess(["/no/such/program"], tmp_path).ensure_client()


def test_a_command_that_is_no_program(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello", encoding="ascii")
    with pytest.raises(EngineError, match=r"notes.txt.*cannot be run"):
        BackendProcess([str(path)], tmp_path).ensure_client()


def test_one_that_exits_at_once_is_quoted(script, tmp_path, temp_root):
    command = script("sys.exit('INFO starting\\nModuleNotFoundError: No module named torch\\n\\n')")
    backend = BackendProcess(command, tmp_path)
    with pytest.raises(EngineError, match=r"could not start \(ModuleNotFoundError: No module named torch\)") as caught:
        backend.ensure_client()
    assert str(backend.log) in str(caught.value)
    assert not list(temp_root.iterdir())
    assert not backend.alive


@pytest.mark.parametrize(
    ("body", "words"), [("sys.exit(3)", "ended with code 3"), ("os.kill(os.getpid(), 9)", "ended by signal 9")]
)
def test_one_that_exits_without_a_word(script, tmp_path, body, words):
    with pytest.raises(EngineError, match=words):
        BackendProcess(script(body), tmp_path).ensure_client()


def test_one_that_never_says_hello_can_be_cancelled(script, tmp_path):
    backend = BackendProcess(script("time.sleep(600)"), tmp_path)
    seen = []
    asked = iter([False, False, True])

    def cancelled():
        seen.append(backend.pid)
        return next(asked)

    with pytest.raises(JobCancelled):
        backend.ensure_client(cancelled)
    assert seen[0] is not None
    assert not is_running(seen[0])


def test_a_stop_ends_a_start_that_hangs(script, tmp_path):
    backend = BackendProcess(script("time.sleep(600)"), tmp_path)
    errors = []

    def start():
        try:
            backend.ensure_client()
        except EngineError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    wait_until(lambda: backend.pid is not None)
    pid = backend.pid
    backend.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [JobCancelled]
    assert not is_running(pid)


def test_one_that_ignores_every_request_to_end_is_killed(backend_command, script, tmp_path):
    command = script(
        f"""
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.run([{backend_command[0]!r}, *sys.argv[1:]])
time.sleep(600)
"""
    )
    backend = BackendProcess(command, tmp_path)
    backend.ensure_client()
    pid = backend.pid
    backend.stop()
    assert not is_running(pid)


def test_another_protocol_is_told_apart(script, tmp_path):
    hello = {"type": "hello", "protocol": 99, "version": "9.0.0", "url": "http://127.0.0.1:1"}
    command = script(f"print({json.dumps(hello)!r}, flush=True); time.sleep(600)")
    with pytest.raises(EngineError, match=r"protocol 99.*protocol 1; update"):
        BackendProcess(command, tmp_path).ensure_client()


class _Refusing(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"error": "The access token is missing or wrong."}')

    def log_message(self, *_):
        pass


def test_one_that_refuses_the_token_is_not_kept(script, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hello = {"type": "hello", "protocol": 1, "url": f"http://127.0.0.1:{server.server_port}"}
        backend = BackendProcess(script(f"print({json.dumps(hello)!r}, flush=True); time.sleep(600)"), tmp_path)
        with pytest.raises(EngineError, match=r"does not accept the token.*restart QGIS"):
            backend.ensure_client()
        assert not backend.alive
        server.shutdown()


def test_chatter_on_stdout_neither_hides_the_hello_nor_fills_the_pipe(backend_command, script, tmp_path):
    command = script(
        f"""
import subprocess
print("a library says something")
print("[1, 2]")
sys.stdout.flush()
child = subprocess.Popen([{backend_command[0]!r}, *sys.argv[1:]])
# More than any pipe holds.
time.sleep(0.5)
sys.stdout.write("chatter\\n" * 100_000)
sys.stdout.flush()
open({str(tmp_path / "written")!r}, "w").close()
sys.exit(child.wait())
"""
    )
    backend = BackendProcess(command, tmp_path)
    try:
        assert backend.ensure_client().health()["status"] == "ok"
        wait_until((tmp_path / "written").exists)
        assert "a library says something" in backend.log.read_text(encoding="utf-8")
    finally:
        backend.close()


def test_only_the_newest_logs_are_kept(tmp_path):
    made = [logs.new_log(tmp_path) for _ in range(14)]
    assert made[-1].exists()
    assert len(list(tmp_path.glob("*.log"))) == 10


def test_a_profile_that_cannot_be_written_does_not_hinder(tmp_path, temp_root):
    (tmp_path / "file").touch()
    assert logs.new_log(tmp_path / "file" / "logs").parent == temp_root


def test_the_last_telling_line_of_a_log(tmp_path):
    log = tmp_path / "x.log"
    assert logs.last_line(log) == ""
    log.write_bytes(b"Error: Out of \xff memory.\n2026-01-01 00:00:00 INFO Shutting down\nINFO: bye\n\n")
    assert logs.last_line(log) == "Out of \N{REPLACEMENT CHARACTER} memory"
