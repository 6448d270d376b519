"""The parts of the stack as processes: what is installed, what is started, and that all of it ends."""

import base64
import contextlib
import hashlib
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
INSTALLED = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "official_x402"
SKIPPED = 77
PATIENCE_SECONDS = 30
INSTALL_SECONDS = 600
COMPLAINTS_LINES_MAX = 20

# What the package managers say when a registry cannot be had; anything else that they say is a failure of this test.
UNREACHABLE = (
    "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "E502", "E503", "E504",
    "NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError",
)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def install():
    """Installs the pinned packages under the target directory, unless they are there."""
    if sys.version_info < (3, 11):
        skip(f"Python 3.11 is needed, this is {sys.version.split()[0]}")
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    node = subprocess.run(["node", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if int(node.lstrip("v").split(".")[0]) < 20:
        skip(f"Node 20 is needed, this is {node}")
    # Modules are looked up from the place of the script that imports them.
    (INSTALLED / "node").mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", "client.mjs", "facilitator.mjs", "server.mjs"):
        shutil.copy(HERE / name, INSTALLED / "node" / name)
    npm = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    once(INSTALLED / "node" / "installed", HERE / "package-lock.json", npm, INSTALLED / "node")
    packages = INSTALLED / "python"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--target", packages,
           "--requirement", HERE / "requirements.txt"]
    once(INSTALLED / "python.installed", HERE / "requirements.txt", pip, HERE)


def once(stamp, pins, command, directory):
    """Runs an installation unless the last one was of the same pins."""
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    command = [str(word) for word in command]
    print(f"installing: {command[0]} for {pins.name}", flush=True)
    done = subprocess.run(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS
    )
    if done.returncode != 0:
        print(done.stdout[-2000:])
        if any(sign in done.stdout for sign in UNREACHABLE):
            skip("the registry cannot be reached")
        raise RuntimeError(f"{pins.name} cannot be installed")
    stamp.write_text(wanted)


def build_paygate():
    return build("--example", "x402_paygate", "--features", "tower,x402")


def build_program():
    return build("--bin", "idemstore", "--features", "cli")


def build(*what):
    command = ["cargo", "build", *what, "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(found["executable"] for found in artifacts if found.get("executable"))


def complaints(log):
    """Returns the end of what processes wrote to their standard error."""
    return "\n".join(log.read_text().splitlines()[-COMPLAINTS_LINES_MAX:]) if log.exists() else ""


class Child:
    """A process that ends with this program; what it complains about goes to a file."""

    alive = []

    def __init__(self, name, *command, log, environment=None):
        self.name = name
        with open(log, "a") as errors:
            self.process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env=environment,
            )
        Child.alive.append(self)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(PATIENCE_SECONDS)
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        Child.alive.remove(self)

    @staticmethod
    def kill_all():
        for child in list(Child.alive):
            child.kill()


class Server(Child):
    """A process that says where it listens, in its first line."""

    def __init__(self, name, *command, log):
        super().__init__(name, *command, log=log)
        line = self.process.stdout.readline()
        if not line.startswith("listening on http://"):
            raise RuntimeError(f"{name} did not start: {line.strip()!r}\n{complaints(log)}")
        self.url = line.split()[-1]

    def read(self, path):
        return json.loads(request(self.url + path).body)

    def write(self, path, value):
        return json.loads(request(self.url + path, "POST", json.dumps(value)).body)


class Client(Child):
    """An official client. Jobs may overlap; see client.mjs for what they are."""

    def __init__(self, name, *command, log):
        packages = os.environ | {"PYTHONPATH": str(INSTALLED / "python")}
        super().__init__(name, *command, log=log, environment=packages)
        self.numbers, self.results, self.arrived = itertools.count(), {}, threading.Condition()
        threading.Thread(target=self.receive, daemon=True).start()

    def receive(self):
        for line in self.process.stdout:
            result = json.loads(line)
            with self.arrived:
                self.results[result.pop("n")] = result
                self.arrived.notify_all()

    def do(self, job, **given):
        with self.arrived:
            number = next(self.numbers)
            self.process.stdin.write(json.dumps({"n": number, "do": job, **given}) + "\n")
            self.process.stdin.flush()
            if not self.arrived.wait_for(lambda: number in self.results, PATIENCE_SECONDS):
                raise RuntimeError(f"{self.name} did not {job} in {PATIENCE_SECONDS} s")
            result = self.results.pop(number)
        if "error" in result:
            raise RuntimeError(f"{self.name} could not {job}: {result['error']}")
        return result

    def pay(self, url, payment_id, job="pay", **given):
        """Returns the answer, and the payment that was made for it, if one was."""
        result = self.do(job, url=url, id=payment_id, **given)
        return Answer(result["status"], result["headers"], result["body"]), result.get("payment")


class Answer:
    """What a server answered; status 0 when the connection broke."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def receipt(self):
        """The receipt as it was sent."""
        return self.headers.get("payment-response")

    def receipt_says(self, member):
        return json.loads(base64.b64decode(self.receipt() or "e30=")).get(member)

    def __str__(self):
        says = [str(self.status)]
        if "retry-after" in self.headers:
            says.append(f"Retry-After {self.headers['retry-after']}")
        if self.receipt():
            says.append(f"receipt {self.receipt_says('errorReason') or 'success'}")
        return ", ".join(says)


def request(url, method="GET", body=None, headers=None):
    """Sends a request once: no client that retries, redirects or reuses a connection."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE_SECONDS)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body=body, headers={"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read().decode())
    except (ConnectionError, http.client.HTTPException):
        return Answer(0, {}, "")
    finally:
        connection.close()


def wait_until(what, holds):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come in {PATIENCE_SECONDS} s")
        time.sleep(0.01)
