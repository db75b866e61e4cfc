# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A headless Chromium, driven by its DevTools protocol over a pipe."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from common import apt_install

#: Names of a Chromium, the smallest first, which Debian has as a package.
NAMES = ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser")
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
_TIMEOUT = 60.0
# Above those that a browser gets by number.
_FREE_DESCRIPTOR = 10


def find() -> str | None:
    """Return the path of a Chromium, and install it before if that can be done."""
    if not any(map(shutil.which, NAMES)) and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install([NAMES[0]])
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    with tempfile.TemporaryDirectory(prefix="inx-browser-") as profile:
        started = Browser(program, profile)
        try:
            yield started
        finally:
            started.end()


class Browser:
    """A running browser."""

    def __init__(self, program: str, profile: str) -> None:
        (read, theirs_out), (theirs_in, write) = (map(_moved, os.pipe()) for _pipe in range(2))
        command = [program, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
        log = str(Path(profile) / "log")
        self._pid = os.posix_spawn(
            program,
            command,
            {**os.environ, "HOME": profile},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, theirs_in, 3),
                (os.POSIX_SPAWN_DUP2, theirs_out, 4),
            ],
            setpgroup=0,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._read, self._write = read, write
        self._number, self._rest = 0, b""
        self.events: list[dict[str, Any]] = []

    def end(self) -> None:
        """End the browser with all its processes."""
        os.killpg(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        """Call a method, and return its result."""
        self._number += 1
        number = self._number
        body: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        os.write(self._write, json.dumps(body | ({"sessionId": session} if session else {})).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait(self, session: str, method: str) -> None:
        """Wait for an event of a page."""
        while not any(event.get("method") == method and event.get("sessionId") == session for event in self.events):
            self.events.append(self._next())

    def _next(self) -> dict[str, Any]:
        """Return the next message: an answer or an event."""
        until = time.monotonic() + _TIMEOUT
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("The browser does not answer.")
            chunk = os.read(self._read, 1 << 16)
            if not chunk:
                raise RuntimeError("The browser has ended.")
            self._rest += chunk
        text, _zero, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def open(self, file: Path, fragment: str = "", *, scripts: bool = True, **view: Any) -> Tab:
        """Open a file in a tab of its own, with ``view`` as of ``Tab.show``."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            tab.call(f"{domain}.enable")
        tab.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        tab.show(**view)
        tab.call("Page.navigate", url=f"{file.as_uri()}{fragment}")
        self.wait(tab.session, "Page.loadEventFired")
        return tab


class Tab:
    """An open page."""

    def __init__(self, of: Browser, session: str) -> None:
        self._browser, self.session = of, session

    def call(self, method: str, /, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page."""
        return self._browser.call(method, self.session, **parameters)

    def events(self, *methods: str) -> list[Mapping[str, Any]]:
        """Return the parameters of events until now."""
        return [
            event["params"]
            for event in self._browser.events
            if event.get("sessionId") == self.session and event["method"] in methods
        ]

    def show(self, *, width: int = 1200, height: int = 900, scheme: str = "light", scale: float = 1) -> None:
        """Set the size of the window, and the colour scheme that the user prefers."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def tell(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(done["exceptionDetails"])
        return done["result"].get("value")

    def until(self, expression: str, expected: Any) -> None:
        """Wait until an expression has a value. Events of the page, such as a new address, take a moment."""
        until = time.monotonic() + _TIMEOUT
        while (found := self.tell(expression)) != expected:
            assert time.monotonic() < until, f"{expression} is {found}, not {expected}."
            time.sleep(0.02)

    def type(self, text: str) -> None:
        """Type a text, key by key."""
        for letter in text:
            for kind in ("keyDown", "keyUp"):
                self.call(
                    "Input.dispatchKeyEvent", type=kind, **({"text": letter} if kind == "keyDown" else {}), key=letter
                )

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        place = f"document.querySelector({json.dumps(selector)})"
        self.tell(f"{place}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        x, y = self.tell(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({place}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self) -> bytes:
        """Return what is seen, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


def _moved(descriptor: int) -> int:
    """Return a descriptor under a number that the browser's own do not take."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FREE_DESCRIPTOR)
    os.close(descriptor)
    return moved
