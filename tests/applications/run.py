#!/usr/bin/env python3
"""Runs payment services in Flask and Express, with nothing changed in them, behind `idemstore proxy`, and checks that nobody pays
twice.

    python3 tests/applications/run.py                                    # with what is built here
    python3 tests/applications/run.py --proxy-command "idemstore proxy"  # another proxy
    python3 tests/applications/run.py flask                              # one application

Needs Python 3.11, Node 20 and the registries of both; exits with 77 where they are not to be had.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "official_x402"))

import stack  # noqa: E402
from cases import Together, Verdict  # noqa: E402
from provider import Provider  # noqa: E402
from stack import Server, request, wait_until  # noqa: E402

INSTALLED = stack.INSTALLED.parent / "applications"
PYTHON = INSTALLED / "venv" / "bin" / "python"
DUPLICATES = 8
ORDER = '{"amount": 100, "currency": "EUR"}'

# How each is started, as its documentation says; port 0 picks one.
APPLICATIONS = {
    "flask": [PYTHON, "-m", "flask", "--app", "shop", "run", "--port", "{port}"],
    "gunicorn": [PYTHON, "-m", "gunicorn", "--workers", "4", "--threads", "2", "--bind", "127.0.0.1:{port}", "shop:app"],
    "express": ["node", "shop.mjs"],
}


def install():
    if sys.version_info < (3, 11):
        stack.skip(f"Python 3.11 is needed, this is {sys.version.split()[0]}")
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            stack.skip(f"{tool} is not installed")
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "shop.mjs", "shop.py"):
        shutil.copy(HERE / name, INSTALLED / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    stack.once(INSTALLED / "node.installed", HERE / "package-lock.json", npm, INSTALLED)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", INSTALLED / "venv"], check=True)
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", HERE / "requirements.txt"]
    stack.once(INSTALLED / "python.installed", HERE / "requirements.txt", pip, HERE)


class Application:
    """A payment service and all its processes, which end with this program."""

    alive = []

    def __init__(self, name, provider, log, port="0"):
        words = [str(word).format(port=port) for word in APPLICATIONS[name]]
        # Some leave files at home.
        own = {"PROVIDER_URL": provider.url, "PORT": port, "PYTHONUNBUFFERED": "1", "HOME": str(log.parent)}
        environment = os.environ | own
        log.unlink(missing_ok=True)
        self.port = port
        with open(log, "w") as out:
            self.process = subprocess.Popen(
                words, cwd=INSTALLED, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment, start_new_session=True
            )
        Application.alive.append(self)
        says = re.compile(r"http://127\.0\.0\.1:(\d+)")
        wait_until(name, lambda: says.search(log.read_text()) or self.process.poll() is not None)
        if self.process.poll() is not None:
            raise RuntimeError(f"{name} did not start:\n{log.read_text()}")
        self.port = says.search(log.read_text())[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def kill(self):
        """Kills it without a warning, with its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        Application.alive.remove(self)
        # A worker that is still dying keeps the port open for all of them.
        wait_until("the end of the last worker", lambda: not self.is_reachable())

    def is_reachable(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", int(self.port))) == 0

    @staticmethod
    def kill_all():
        for application in list(Application.alive):
            application.kill()


class Stage:
    """An application, the proxy in front of it, and the provider behind it."""

    def __init__(self, name, directory, proxy_command):
        self.name, self.directory = name, directory
        self.provider = Provider()
        self.application = Application(name, self.provider, directory / "application")
        self.command = [*shlex.split(proxy_command), "--db", directory / "proxy.idem", "--listen", "127.0.0.1:0", "--wait", "1s"]
        self.start_proxy()

    def start_proxy(self):
        self.proxy = Server("proxy", *self.command, "--upstream", self.application.url, log=self.directory / "complaints")

    def start_application(self):
        self.application = Application(self.name, self.provider, self.directory / "application", self.application.port)

    def pay(self, key, order=ORDER, url=None):
        headers = {"Idempotency-Key": key} if key else {}
        return request((url or self.proxy.url) + "/payments", "POST", order, headers)

    def charging(self):
        """Returns how often the provider has charged since."""
        before = self.provider.charges
        return lambda: self.provider.charges - before

    @contextlib.contextmanager
    def in_the_middle(self, key):
        """A payment that was charged and is not answered yet."""
        self.provider.hold(True)
        before = self.provider.charges
        calls = Together([lambda: self.pay(key)])
        self.provider.wait_for(before + 1, stack.PATIENCE_SECONDS)
        yield calls
        self.provider.hold(False)


def new_key():
    return f"order-{uuid.uuid4()}"


def is_same(answer, first):
    names = ("content-type", "content-length")
    headers = [[one.headers.get(name) for name in names] for one in (answer, first)]
    return (answer.status, answer.body) == (first.status, first.body) and headers[0] == headers[1]


def is_unknown(answer):
    return answer.status == 503 and "idempotency_outcome_unknown" in answer.body and "retry-after" in answer.headers


def unprotected(stage, verdict):
    charged, key, url = stage.charging(), new_key(), stage.application.url
    first, retry = stage.pay(key, url=url), stage.pay(key, url=url)
    verdict.holds(f"without the proxy: {first}, then {retry}", (first.status, retry.status) == (201, 201), "201 and 201")
    verdict.equal("charged", charged(), 2)


def a_retry_gets_the_stored_response(stage, verdict):
    charged, key = stage.charging(), new_key()
    first = stage.pay(key)
    verdict.holds(f"the first: {first}", first.status == 201 and "idempotent-replayed" not in first.headers, "201")
    for _ in range(2):
        retry = stage.pay(key)
        verdict.holds(f"a retry: {retry}", is_same(retry, first) and "idempotent-replayed" in retry.headers, "the same bytes")
    other = stage.pay(key, ORDER.replace("100", "200"))
    verdict.holds(f"another order with this key: {other}", other.status == 422, "422")
    verdict.equal("charged", charged(), 1)


def what_the_application_refuses_is_refused(stage, verdict):
    charged = stage.charging()
    answer = stage.pay(None)
    verdict.holds(f"without a key: {answer}", answer.status == 400 and "header is required" in answer.body, "its own 400")
    verdict.equal("charged", charged(), 0)


def duplicates_at_the_same_time_are_charged_once(stage, verdict):
    charged, key = stage.charging(), new_key()
    answers = Together([lambda: stage.pay(key)] * DUPLICATES).wait()
    told = sorted({str(answer) for answer in answers})
    verdict.holds(f"{DUPLICATES} at the same time: {told}", all(is_same(answer, answers[0]) for answer in answers), "one answer")
    verdict.equal("charged", charged(), 1)


def an_application_that_is_killed_charges_once(stage, verdict):
    charged, key = stage.charging(), new_key()
    with stage.in_the_middle(key) as calls:
        stage.application.kill()
        answer = calls.wait()[0]
    verdict.holds(f"killed after the charge: {answer}", answer.status == 504, "504")
    down = stage.pay(other := new_key())
    verdict.holds(f"another payment meanwhile: {down}", down.status == 502, "502")
    stage.start_application()
    verdict.holds(f"the retry: {(retry := stage.pay(key))}", is_unknown(retry), "503")
    verdict.equal("charged", charged(), 1)
    verdict.holds(f"the other payment again: {(up := stage.pay(other))}", up.status == 201, "201")
    verdict.equal("charged", charged(), 2)


def a_proxy_that_is_killed_charges_once(stage, verdict):
    charged, key = stage.charging(), new_key()
    ended = stage.pay(before := new_key())
    with stage.in_the_middle(key) as calls:
        stage.proxy.kill()
        answer = calls.wait()[0]
    verdict.holds(f"killed after the charge: {answer}", answer.status == 0, "a broken connection")
    stage.start_proxy()
    verdict.holds(f"the retry: {(retry := stage.pay(key))}", is_unknown(retry), "503")
    verdict.holds(f"a payment from before: {(again := stage.pay(before))}", is_same(again, ended), "the same bytes")
    verdict.equal("charged", charged(), 2)


CASES = [
    unprotected,
    a_retry_gets_the_stored_response,
    what_the_application_refuses_is_refused,
    duplicates_at_the_same_time_are_charged_once,
    an_application_that_is_killed_charges_once,
    a_proxy_that_is_killed_charges_once,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("applications", nargs="*", metavar="APPLICATION", help=", ".join(APPLICATIONS))
    parser.add_argument("--proxy-command", help="how to start the proxy, without its options; built unless given")
    arguments = parser.parse_args()
    if unknown := set(arguments.applications) - set(APPLICATIONS):
        parser.error(f"no such application: {', '.join(unknown)}")
    # A stop request unwinds, so that everything that was started ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    install()
    proxy_command = arguments.proxy_command or f"{shlex.quote(stack.build_program())} proxy"
    started, failed, checks = time.monotonic(), [], 0
    try:
        with tempfile.TemporaryDirectory(prefix="applications-") as directory:
            for name in arguments.applications or APPLICATIONS:
                print(f"\n{name}", flush=True)
                place, verdict = pathlib.Path(directory) / name, Verdict()
                place.mkdir()
                stage = Stage(name, place, proxy_command)
                for case in CASES:
                    verdict.title(case.__name__)
                    case(stage, verdict)
                print(f"  {verdict.checks - verdict.failures} of {verdict.checks} checks passed")
                checks += verdict.checks
                if verdict.failures:
                    failed.append(name)
                    print(stack.complaints(place / "complaints"), stack.complaints(place / "application"), sep="\n")
    finally:
        stack.Child.kill_all()
        Application.kill_all()
    print(f"\n{checks} checks in {time.monotonic() - started:.0f} s; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
