"""As much of the W3C WebDriver protocol as the tests of the page need."""

import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
PATIENCE = 240  # seconds; machines that test may be busy


class Browser:
    """One headless window."""

    def __init__(self, address: str, chromium: str, profile: str) -> None:
        self._address = address
        arguments = [
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", "--disable-background-networking", "--disable-extensions"),
            *("--window-size=1200,900", f"--user-data-dir={profile}"),
        ]
        capabilities = {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        answer = self._send("POST", "/session", {"capabilities": {"alwaysMatch": capabilities}})
        self._session = f"/session/{answer['sessionId']}"

    def _send(self, method: str, path: str, body: dict | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._address + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:2000]) from None

    def open(self, url: str) -> None:
        self._send("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        body = {"script": script, "args": list(arguments)}
        return self._send("POST", f"{self._session}/execute/sync", body)

    def find(self, css: str) -> str:
        body = {"using": "css selector", "value": css}
        return self._send("POST", f"{self._session}/element", body)[ELEMENT]

    def click(self, css: str) -> None:
        self._send("POST", f"{self._session}/element/{self.find(css)}/click", {})

    def press(self, *keys: str) -> None:
        """Press keys one after the other; one that holds several is a chord."""
        actions = []
        for chord in keys:
            actions += [{"type": "keyDown", "value": key} for key in chord]
            actions += [{"type": "keyUp", "value": key} for key in reversed(chord)]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        self._send("POST", f"{self._session}/actions", {"actions": [source]})

    def wait_for(self, script: str) -> Any:
        """Return the script's value as soon as it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(f"return {script}")):
            assert time.monotonic() < end, script
            time.sleep(0.1)
        return value

    def complaints(self) -> list[str]:
        """Return what the console holds: errors, and what the page's policy refused."""
        entries = self._send("POST", f"{self._session}/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries]

    def quit(self) -> None:
        self._send("DELETE", self._session)


def missing_programs() -> str:
    """Return why there is no browser here, "" if there is one."""
    names = {"chromium": _chromium(), "chromedriver": shutil.which("chromedriver")}
    missing = [name for name, path in names.items() if path is None]
    return f"{' and '.join(missing)} not installed" if missing else ""


def _chromium() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


@contextmanager
def headless_browser() -> Iterator[Browser]:
    """Start chromedriver and a browser, and stop both."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        port_file = os.path.join(folder, "log")
        driver = subprocess.Popen(
            ["chromedriver", "--port=0", f"--log-path={port_file}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert driver.stdout is not None
            line = next(line for line in driver.stdout if "started successfully on port" in line)
            port = int(line.rpartition("port")[2].strip(" .\n"))
            chromium = _chromium()
            assert chromium is not None
            browser = Browser(f"http://127.0.0.1:{port}", chromium, os.path.join(folder, "profile"))
            yield browser
            browser.quit()
        finally:
            driver.terminate()
            driver.wait(timeout=PATIENCE)
