#!/usr/bin/env python3
"""Runs the conformance vectors of PyPI's idemkit over the HTTP API: a store that somebody else's suite accepts as a backend.

    python3 tests/idemkit/run.py
    python3 tests/idemkit/run.py --idemstore target/release/idemstore

Needs Python 3.11 and PyPI; exits with 77 where they are not to be had.
"""

import argparse
import asyncio
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
INSTALLED = REPOSITORY / os.environ.get("CARGO_TARGET_DIR", "target") / "idemkit"
SKIPPED = 77
INSTALL_SECONDS = 300
VECTORS = 13
READY = "listening on http://"

# What pip says when the registry cannot be had; anything else that it says is a failure of this test.
UNREACHABLE = (
    "NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "ReadTimeoutError", "ProxyError", "No matching distribution",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idemstore", help="the program; built unless given")
    arguments = parser.parse_args()
    install()
    program = arguments.idemstore or build()
    with tempfile.TemporaryDirectory(prefix="idemkit-") as directory:
        server = subprocess.Popen(
            [program, "serve", "--db", pathlib.Path(directory) / "idemkit.idem", "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True,
        )
        try:
            line = server.stdout.readline().strip()
            if not line.startswith(READY):
                raise RuntimeError(f"the server did not say where it listens: {line!r}")
            return check(line.removeprefix(READY))
        finally:
            server.kill()
            server.wait()


def check(address):
    """Runs the vectors on the store, and then on one that is broken on purpose, which they have to report."""
    from backend import Backend, Forgetful
    from idemkit.conformance import BackendConformance

    report = asyncio.run(BackendConformance(Backend(address)).run())
    print(report.report())
    control = asyncio.run(BackendConformance(Forgetful(address)).run())
    print(f"a backend that lets every token pass: {control.summary()}")
    return 0 if report.passed and report.total == VECTORS and not control.passed else 1


def install():
    """Installs the pinned package under the target directory, unless it is there."""
    if sys.version_info < (3, 11):
        skip(f"Python 3.11 is needed, this is {sys.version.split()[0]}")
    pins, stamp = HERE / "requirements.txt", INSTALLED / "installed"
    wanted = hashlib.sha256(pins.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade", "--no-deps"]
        command += ["--only-binary", ":all:", "--target", INSTALLED, "--requirement", pins]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_SECONDS
        )
        if done.returncode != 0:
            print(done.stdout[-2000:])
            if any(sign in done.stdout for sign in UNREACHABLE):
                skip("the registry cannot be reached")
            raise RuntimeError("idemkit cannot be installed")
        stamp.write_text(wanted)
    sys.path.insert(0, str(INSTALLED))


def build():
    command = ["cargo", "build", "--bin", "idemstore", "--features", "cli", "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(found["executable"] for found in artifacts if found.get("executable"))


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


if __name__ == "__main__":
    sys.exit(main())
