"""A headless Chromium, driven through chromedriver with the standard library alone."""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--force-color-profile=srgb",
]
KEYS = {"enter": "\ue007", "tab": "\ue004", "escape": "\ue00c", "space": " ", "down": "\ue015", "shift": "\ue008"}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Generous: it is only waited out by what never happens.
DEADLINE_S = 30


class Missing(Exception):
    """There is no Chromium here."""


class Browser:
    """One session; a context manager that leaves no process behind."""

    def __init__(self):
        driver, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
        if not driver or not chromium:
            raise Missing("chromium and chromedriver are not installed")
        self.profile = tempfile.TemporaryDirectory(prefix="page-profile-", ignore_cleanup_errors=True)
        # A group of its own, so that Chromium ends with its driver.
        self.process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
        )
        try:
            self.root = f"http://127.0.0.1:{self._port()}"
            options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={self.profile.name}"]}
            logs = {"browser": "ALL", "performance": "ALL"}
            wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
            session = self._send("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
            self.session = f"/session/{session['sessionId']}"
        except BaseException:
            self.close()
            raise

    def _port(self):
        for line in self.process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                return int(found[1])
        raise RuntimeError("chromedriver did not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdout.close()
        self.profile.cleanup()

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            value = json.load(error)["value"]
            raise RuntimeError(f"{value['error']}: {value['message'].splitlines()[0]}") from None

    def post(self, path, **body):
        return self._send("POST", self.session + path, body)

    def open(self, url):
        self.post("/url", url=url)

    def run(self, script, *arguments):
        """Runs a function body in the page; it may await."""
        return self.post("/execute/sync", script=f"return (async () => {{ {script} }})()", args=list(arguments))

    def devtools(self, command, **parameters):
        return self.post("/goog/cdp/execute", cmd=command, params=parameters)

    def resize(self, width, height, scale=1):
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme, motion="no-preference"):
        features = [{"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def before_each_page(self, script):
        """Runs a script in every page that is opened from now on, before the page's own; returns how to stop that."""
        identifier = self.devtools("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
        return lambda: self.devtools("Page.removeScriptToEvaluateOnNewDocument", identifier=identifier)

    def find(self, selector):
        return self.wait(f"{selector} is there", lambda: self.post("/elements", using="css selector", value=selector))[0][ELEMENT]

    def click(self, selector):
        self.post(f"/element/{self.find(selector)}/click")

    def type(self, selector, text):
        element = self.find(selector)
        self.post(f"/element/{element}/clear")
        self.post(f"/element/{element}/value", text=text)

    def press(self, *keys):
        """Presses keys one after the other where the focus is: names of KEYS, or text."""
        strokes = [KEYS.get(key) for key in keys]
        typed = [stroke for key, known in zip(keys, strokes) for stroke in ([known] if known else key)]
        actions = [{"type": kind, "value": key} for key in typed for kind in ("keyDown", "keyUp")]
        self.post("/actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def text(self, selector):
        return self.run("return document.querySelector(arguments[0])?.innerText ?? null", selector)

    def wait(self, what, condition):
        """Waits for a condition, a function here or an expression in the page, and returns its value."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            value = condition() if callable(condition) else self.run(f"return {condition}")
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain: {what}")
            time.sleep(0.05)

    def log(self, kind):
        """What was logged since it was asked last: `browser` for the console, `performance` for requests."""
        return self.post("/se/log", type=kind)

    def shot(self, path):
        pathlib.Path(path).write_bytes(base64.b64decode(self._send("GET", self.session + "/screenshot")))
