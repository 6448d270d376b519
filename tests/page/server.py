"""The program under test, `idemstore serve`, and its API for filling it."""

import json
import pathlib
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def build():
    """Builds the program and returns where it is."""
    command = ["cargo", "build", "--bin", "idemstore", "--features", "cli", "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(found["executable"] for found in artifacts if found.get("executable"))


class Server:
    """A running server; a context manager that kills it."""

    def __init__(self, program, db, listen="127.0.0.1:0", token=None):
        self.token = token
        command = [program, "serve", "--db", db, "--listen", listen]
        if token:
            file = db.with_suffix(".token")
            file.touch(mode=0o600)
            file.write_text(token)
            command += ["--token-file", file]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            self.kill()
            raise RuntimeError(f"the server did not start: {line!r}")
        self.url = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def ask(self, path, **body):
        """Sends a request, POST with a body; returns the status and the answer."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})
        request = urllib.request.Request(f"{self.url}/v1/{path}", json.dumps(body).encode() if body else None, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def begin(self, scope, key, lease_ms=60_000):
        status, begun = self.ask("begin", scope=scope, key=key, request={"of": key}, lease_ms=lease_ms)
        assert status in (200, 201), begun
        return begun

    def end(self, scope, key, verb="complete", payload="receipt"):
        token = self.begin(scope, key)["token"]
        status, ended = self.ask(verb, scope=scope, key=key, token=token, payload=payload)
        assert status == 200, ended

    def lose(self, scope, key, checkpoint=None):
        """Leaves an attempt whose lease has lapsed and that nobody will end."""
        token = self.begin(scope, key, lease_ms=2_000 if checkpoint else 10)["token"]
        if checkpoint:
            status, answer = self.ask("checkpoint", scope=scope, key=key, token=token, data=checkpoint)
            assert status == 200, answer

    def record(self, scope, key, payload=False):
        parameters = {"scope": scope, "key": key} | ({"payload": "true"} if payload else {})
        return self.ask("record?" + urllib.parse.urlencode(parameters))

    def audit(self, scope, key):
        status, page = self.ask("audit?" + urllib.parse.urlencode({"scope": scope, "key": key}))
        assert status == 200, page
        return [(row["outcome"], row["reason"]) for row in page["rows"]]


class Load:
    """Begins and completes until the block ends; each second begin of a key is a replay."""

    def __init__(self, server):
        self.server, self.stop = server, threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _run(self):
        number = 0
        while not self.stop.is_set():
            key, number = f"load_{number}", number + 1
            self.server.end("load", key)
            self.server.begin("load", key)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
