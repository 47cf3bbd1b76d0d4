"""A page in a headless Chromium, spoken to through the pipes of its DevTools protocol."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One tab: what it asked for, what it complained of, and what a script in it returns."""

    def __init__(self, reader: int, writer: int) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._reader, self._writer = reader, writer
        self._number, self._rest, self._session = itertools.count(1), b"", ""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol, and note what happened meanwhile."""
        number = next(self._number)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._writer, json.dumps(message).encode() + b"\0")
        while True:
            heard = self._next()
            if heard.get("id") == number:
                assert "error" not in heard, (method, heard["error"])
                return dict(heard["result"])
            self._note(heard)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = os.read(self._reader, 1 << 20)
            assert piece, "Chromium ended"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(message))

    def _note(self, heard: dict[str, Any]) -> None:
        what, said = heard.get("method"), heard.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(said["exceptionDetails"]))
        elif what == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(said["args"]))
        elif what == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
            self.complaints.append(said["entry"]["text"])

    def open(self, path: Path, width: int, height: int, *, dark: bool = False, state: str = "") -> None:
        """Open a file in a window of this size."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media="screen", features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=path.as_uri() + state)
        end = time.monotonic() + 60
        while self.run("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < end, "the page does not open"
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """Return what an expression is in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def picture(self) -> bytes:
        """Return the window as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def printed(self) -> bytes:
        """Return the page as PDF."""
        self.call("Emulation.setEmulatedMedia", media="print", features=[])
        printed = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(printed["data"])


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """A Chromium with a profile in `folder`, which ends with the block."""
    assert PROGRAM is not None
    hear, said = os.pipe()
    heard, say = os.pipe()
    # Chromium reads its file 3 and writes its file 4.
    command = [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--remote-debugging-pipe", f"--user-data-dir={folder}", "about:blank"]
    script = f'exec "$@" 3<&{hear} 4>&{say}'
    with subprocess.Popen(
        ["bash", "-c", script, "bash", *command],
        pass_fds=(hear, say),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(hear)
        os.close(say)
        try:
            yield Browser(heard, said)
        finally:
            process.terminate()
            os.close(said)
            os.close(heard)
