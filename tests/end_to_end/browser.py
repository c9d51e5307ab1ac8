"""Chromium as a person's browser, driven over its DevTools protocol: navigate, look, click, take a picture."""

import base64
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

from deploy.local.packages import browser

_START_S = 30
_WAIT_S = 30.0
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
    "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
    "--remote-debugging-port=0",
)  # fmt: skip


class Page:
    """One tab. Protocol: https://chromedevtools.github.io/devtools-protocol/."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.console: list[str] = []
        """Errors the page complained of."""
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command and its result."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(_WAIT_S))
            self._note(said)
            if said.get("id") == self._last:
                assert "error" not in said, said
                return dict(said["result"])

    def open(self, url: str, width: int = 1400, height: int = 800) -> None:
        """Go there."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait_for(self, expression: str, seconds: float = _WAIT_S) -> Any:
        """Until the expression is true: a page has no other way to say that it is done."""
        deadline = time.monotonic() + seconds
        while not (value := self.ask(expression)):
            assert time.monotonic() < deadline, f"{expression} stays {value!r}; the page shows: {self.text()[:2000]}"
            time.sleep(0.05)
        return value

    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.ask("document.body.innerText"))

    def click(self, selector: str) -> None:
        """A real click in the middle of an element."""
        self.wait_for(f"!!document.querySelector({json.dumps(selector)})")
        place = self.ask(
            f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def picture(self, file: Path) -> None:
        """The page as it looks, as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def _note(self, said: dict[str, Any]) -> None:
        match said.get("method"):
            case "Runtime.exceptionThrown":
                self.console.append(json.dumps(said["params"]["exceptionDetails"])[:500])
            case "Log.entryAdded" if said["params"]["entry"]["level"] == "error":
                self.console.append(json.dumps(said["params"]["entry"])[:500])


@contextmanager
def page() -> Iterator[Page]:
    """A tab of a browser of one's own, installed where it is missing."""
    program = browser()
    with tempfile.TemporaryDirectory(prefix="esb-browser-", ignore_cleanup_errors=True) as profile:
        child = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with connect(_tab(Path(profile), child), proxy=None, max_size=None) as socket:
                yield Page(socket)
        finally:
            child.terminate()
            child.wait(_START_S)


def _tab(profile: Path, child: subprocess.Popen[bytes]) -> str:
    """The address of the first tab; Chromium writes its port when it listens."""
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_S
    while not (port_file.exists() and port_file.read_text().count("\n")):
        assert child.poll() is None, f"the browser ended with {child.returncode}"
        assert time.monotonic() < deadline, "the browser does not start"
        time.sleep(0.05)
    port = int(port_file.read_text().split()[0])
    tabs = httpx.get(f"http://127.0.0.1:{port}/json/list", trust_env=False, timeout=_START_S).json()
    return str(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))
