# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays a story inside QGIS: a generator that yields what to wait for, while the event loop runs on as for a user."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

from qgis.PyQt.QtCore import QObject, QProcess, QTimer

Story = Generator["Wait", Any, None]
Done = Callable[[Any, "Exception | None"], None]

# Milliseconds between two looks at a condition.
_POLL = 50


class StoryError(Exception):
    """The story cannot go on; the message says at which step."""


class Wait:
    """Something to wait for; ends once, with a value or with an error."""

    def __init__(self, what: str, limit: float) -> None:
        """Name what is waited for, and for how many seconds at most."""
        self.what = what
        self._done: Done | None = None
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(int(limit * 1000))
        self._timer.timeout.connect(lambda: self.end(error=StoryError(f"{what}: nothing after {limit:g} s")))

    def start(self, done: Done) -> None:
        """Begin; `done(value, error)` is called later, never from here."""
        self._done = done
        self._timer.start()
        try:
            self.begin()
        except Exception as error:  # noqa: BLE001 - whatever went wrong belongs to the story
            self.end(error=error)

    def begin(self) -> None:
        """Connect to what ends the wait."""

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        """End the wait; later calls do nothing."""
        done, self._done = self._done, None
        if done is not None:
            self._timer.stop()
            # In a turn of its own: the signal that brought us here may have other listeners.
            QTimer.singleShot(0, lambda: done(value, error))


class Pause(Wait):
    """Let some seconds pass."""

    def __init__(self, seconds: float) -> None:
        """Set the number of seconds."""
        super().__init__("pause", seconds + 60)
        self._seconds = seconds

    def begin(self) -> None:
        """Start the clock."""
        QTimer.singleShot(int(self._seconds * 1000), self.end)


class Signal(Wait):
    """Do something, then wait for the signal that says it is done; its first argument is the value."""

    def __init__(self, what: str, action: Callable[[], Any], done: Any, failed: Any = None, limit: float = 60) -> None:
        """Name the action, the signal of its success, and the signal that carries a sentence when it failed."""
        super().__init__(what, limit)
        self._action = action
        self._signals = [(done, self._succeed)] + ([(failed, self._fail)] if failed is not None else [])

    def begin(self) -> None:
        """Connect, then act."""
        for signal, slot in self._signals:
            signal.connect(slot)
        self._action()

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        """Disconnect and end."""
        for signal, slot in self._signals:
            signal.disconnect(slot)
        self._signals = []
        super().end(value, error)

    def _succeed(self, *values: Any) -> None:
        self.end(values[0] if values else None)

    def _fail(self, sentence: str) -> None:
        self.end(error=StoryError(f"{self.what}: {sentence}"))


class Condition(Wait):
    """Wait until a question is answered with something true, which is the value."""

    def __init__(self, what: str, question: Callable[[], Any], limit: float = 30) -> None:
        """Set the question."""
        super().__init__(what, limit)
        self._question = question
        self._clock = QTimer()
        self._clock.setInterval(_POLL)
        self._clock.timeout.connect(self._look)

    def begin(self) -> None:
        """Look at once, then again and again."""
        self._clock.start()
        self._look()

    def end(self, value: Any = None, error: Exception | None = None) -> None:
        """Stop looking and end."""
        self._clock.stop()
        super().end(value, error)

    def _look(self) -> None:
        try:
            value = self._question()
        except Exception as error:  # noqa: BLE001 - belongs to the story
            self.end(error=error)
        else:
            if value:
                self.end(value)


class Program(Wait):
    """Run a program, such as xdotool, without holding up QGIS."""

    def __init__(self, *command: str, limit: float = 30) -> None:
        """Set the command."""
        super().__init__(" ".join(command), limit)
        self._command = command
        self._process = QProcess()
        self._process.finished.connect(self._finished)
        self._process.errorOccurred.connect(lambda error: self._finished(-1))

    def begin(self) -> None:
        """Start it."""
        self._process.start(self._command[0], list(self._command[1:]))

    def _finished(self, code: int, *_status: Any) -> None:
        words = bytes(self._process.readAllStandardError()).decode("utf-8", "replace").strip()
        self.end(error=StoryError(f"{self.what}: code {code} {words}") if code else None)


class Player(QObject):
    """Plays one story to its end."""

    def __init__(self, story: Story, finished: Callable[[Exception | None], None]) -> None:
        """Set the story and who is told of its end, with the error that broke it or None."""
        super().__init__()
        self._story = story
        self._finished = finished
        self._wait: Wait | None = None
        self.started = time.monotonic()

    def advance(self, value: Any = None, error: Exception | None = None) -> None:
        """Go on to the next wait."""
        try:
            self._wait = self._story.throw(error) if error is not None else self._story.send(value)
        except StopIteration:
            self._finished(None)
        except Exception as broken:  # noqa: BLE001 - reported by the caller
            self._finished(broken)
        else:
            self._wait.start(self.advance)
