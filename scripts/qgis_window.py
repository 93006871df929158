# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the real QGIS application with the plugin in a fresh profile, on a screen of its own or the user's.

The demo, the end-to-end tests and `measure_live.py` share it. What happens inside QGIS is a driver, `qgis_driver.py` or
the module that the plan names as `driver`, told by that plan (JSON).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import stage_plugin

SCRIPTS = Path(__file__).resolve().parent
PROFILE = "ssl4eo"
# Width and height in pixels of the screen that is made where there is none.
SCREEN = (1600, 1000)

# QGIS reads these at start: load our plugin, ask nothing, fetch nothing, speak English.
_SETTINGS = """[PythonPlugins]
ssl4eo_plugin=true

[qgis]
checkVersion=false
showTips322=false
iconSize=24

[app]
askToSaveMemoryLayers=false
plugin_installer\\checkOnStart=false
projections\\unknownCrsBehavior=NoAction

[plugins]
check-on-start=false

[core]
NewsFeed\\httpsfeedqgisorg\\disabled=true

[locale]
overrideFlag=true
userLocale=en_US

[UI]
UITheme=default
"""


class QgisFailedError(Exception):
    """QGIS did not do what the plan asked; the message names the log."""


@contextmanager
def screen(folder: Path, size: tuple[int, int] = SCREEN) -> Iterator[dict[str, str]]:
    """Yield the environment of a new X screen with a window manager, on a free display; both end with the block.

    Args:
        folder: Where the logs of the X server and of the window manager go.
        size: Width and height in pixels.

    Raises:
        QgisFailedError: If no X server could be started.
    """
    with ExitStack() as stack:
        log = stack.enter_context((folder / "screen.log").open("wb"))
        read_end, write_end = os.pipe()
        # -displayfd lets the server pick a free number itself, so that two runs never race for one.
        arguments = ["-screen", "0", f"{size[0]}x{size[1]}x24", "-nolisten", "tcp", "-displayfd", str(write_end)]
        server = subprocess.Popen(["Xvfb", *arguments], stdout=log, stderr=log, pass_fds=[write_end])
        stack.callback(_end, server)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise QgisFailedError(f"Xvfb gave no display; see {folder / 'screen.log'}.")
        environment = {**os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
        environment.pop("WAYLAND_DISPLAY", None)
        # Without a window manager no window ever has the keyboard focus.
        manager = subprocess.Popen(["openbox", "--sm-disable"], env=environment, stdout=log, stderr=log)
        stack.callback(_end, manager)
        yield environment


def make_profile(folder: Path, backend: list[str]) -> Path:
    """Make a fresh QGIS profile under `folder` with the plugin staged and enabled; return the profiles path."""
    shutil.rmtree(folder, ignore_errors=True)
    profile = folder / "profiles" / PROFILE
    (profile / "QGIS").mkdir(parents=True)
    (profile / "QGIS" / "QGIS3.ini").write_text(_SETTINGS, "utf-8")
    stage_plugin.stage(profile / "python" / "plugins", backend)
    return folder


def start(
    plan: dict[str, Any], folder: Path, backend: list[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start QGIS on a plan, with a fresh profile and the log `qgis.log` in `folder`."""
    profiles = make_profile(folder / "profile", backend)
    (folder / "plan.json").write_text(json.dumps(plan, indent=2), "utf-8")
    Path(plan["result"]).unlink(missing_ok=True)
    # QGIS runs the file's text with exec, which has no __file__: the file names where the driver and the plan are.
    code = folder / "start.py"
    driver = plan.get("driver", "qgis_driver")
    code.write_text(
        f"import sys\nsys.path.insert(0, {str(SCRIPTS)!r})\nimport {driver}\n"
        f"{driver}.start({str(folder / 'plan.json')!r})\n",
        "utf-8",
    )
    command = ["qgis", "--profiles-path", str(profiles), "--profile", PROFILE]
    command += ["--nologo", "--noversioncheck", "--code", str(code)]
    # A language with UTF-8 paths where the machine sets none, and no variable that would bend QGIS's Python.
    clean = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    clean.setdefault("LANG", "C.UTF-8")
    clean.pop("VIRTUAL_ENV", None)
    with (folder / "qgis.log").open("wb") as log:
        return subprocess.Popen(
            command, env=clean, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def wait_for_result(
    process: subprocess.Popen[bytes], plan: dict[str, Any], folder: Path, limit: float
) -> dict[str, Any]:
    """Return what the driver wrote down, as soon as it is there.

    Args:
        process: QGIS as `start` returned it.
        plan: What it was started on.
        folder: Where its log is.
        limit: Seconds to wait at most; then QGIS is ended.

    Raises:
        QgisFailedError: If QGIS ended or the time passed without a result, or the driver reports an error.
    """
    result_file = Path(plan["result"])
    give_up = time.monotonic() + limit
    while not result_file.exists():
        if process.poll() is not None:
            raise QgisFailedError(f"QGIS ended with code {process.returncode} before the job was done; {_tail(folder)}")
        if time.monotonic() > give_up:
            stop(process)
            raise QgisFailedError(f"QGIS was not done after {limit:.0f} s; {_tail(folder)}")
        time.sleep(0.1)
    result: dict[str, Any] = json.loads(result_file.read_text("utf-8"))
    if result["error"]:
        stop(process)
        raise QgisFailedError(f"{result['error']}\n{_tail(folder)}")
    return result


def run(plan: dict[str, Any], folder: Path, backend: list[str], limit: float) -> dict[str, Any]:
    """Run a plan on a screen of its own until QGIS has closed itself; return what the driver wrote down.

    Raises:
        QgisFailedError: As `wait_for_result`; and if QGIS does not close, or crashes while closing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with screen(folder, tuple(plan.get("screen", SCREEN))) as environment:
        process = start(plan, folder, backend, environment)
        try:
            result = wait_for_result(process, plan, folder, limit)
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            raise QgisFailedError(f"QGIS did not close within 60 s; {_tail(folder)}") from None
        finally:
            stop(process)
    if code != 0:
        raise QgisFailedError(f"QGIS ended with code {code}; {_tail(folder)}")
    return result


def stop(process: subprocess.Popen[bytes]) -> None:
    """End QGIS if it still runs; its backend ends with it, because its standard input closes."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tail(folder: Path) -> str:
    lines = (folder / "qgis.log").read_text("utf-8", "replace").splitlines()[-15:]
    return f"the end of {folder / 'qgis.log'}:\n" + "\n".join(lines)
