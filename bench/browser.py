"""A browser without a window that does what it is asked: Chromium, by the DevTools protocol over two pipes."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from time import monotonic
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
"""Programs that are looked for, in this order."""
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", "--disable-3d-apis",
    "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
)  # fmt: skip
"""Without 3d there is no WebGL, as on many remote desktops; the pages are the project's own and need no sandbox."""
_SECONDS = 60.0  # for an answer


class BrowserError(RuntimeError):
    """The browser did not do what it was asked; the message says what."""


def find_browser(given: str = "") -> str:
    """Return the program of a browser: the one given, or the first of `NAMES`; empty if there is none."""
    return next((found for name in filter(None, [given, *NAMES]) if (found := shutil.which(name))), "")


class Tab:
    """A tab of the browser: commands and their answers, and the events that come meanwhile."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._rest = write, read, b""
        self._number, self._session = 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result; events that come first are held in `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(method)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error'].get('message')}")
                found: dict[str, Any] = answer["result"]
                return found
            self.events.append(answer)

    def wait_for(self, event: str) -> None:
        """Return when an event has come."""
        while not any(each.get("method") == event for each in self.events):
            self.events.append(self._next(event))

    def value(self, expression: str) -> Any:
        """Return what JavaScript gives for an expression, or a promise of one."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise BrowserError(f"{expression}: {found['exceptionDetails'].get('text')}")
        return found["result"].get("value")

    def _next(self, waiting_for: str) -> dict[str, Any]:
        end = monotonic() + _SECONDS
        while b"\0" not in self._rest:
            if not select([self._read], [], [], max(0.0, end - monotonic()))[0]:
                raise BrowserError(f"no answer to {waiting_for} within {_SECONDS:.0f} s")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise BrowserError(f"the browser ended, waiting for {waiting_for}")
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found


@contextmanager
def opened(program: str) -> Iterator[Tab]:
    """Start a browser with a profile of its own, and yield a tab; it ends with the block."""
    commands, write = os.pipe()
    read, answers = os.pipe()
    with tempfile.TemporaryDirectory() as profile:
        # The protocol's pipes are the numbers 3 and 4 of the browser.
        started = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "sh", program, *_OPTIONS,
             f"--user-data-dir={profile}"],
            pass_fds=(commands, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(commands)
        os.close(answers)
        try:
            yield Tab(write, read)
        finally:
            os.close(write)
            os.close(read)
            started.terminate()
            started.wait()
