#!/usr/bin/env python3
"""Runs the clients of the operations guide, exactly as they stand there, against the real server.

    python3 tests/clients/run.py

Python runs always, JavaScript with Node 18 or newer; Go is vetted where there is a Go. What `/metrics` answers then is read by PyPI's
prometheus_client, where the registry can be reached.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "page"))

import plan  # noqa: E402
from server import REPOSITORY, Server, build  # noqa: E402

GUIDE = REPOSITORY / "src" / "docs" / "operations.md"
DEADLINE_S = 120
READ_METRICS = """
import sys
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
print(len(families), sum(len(family.samples) for family in families), *sorted({family.type for family in families}))
"""


def client(language, suffix, directory):
    """Writes the guide's only block of a language to a file."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f"{len(blocks)} blocks of {language}"
    path = directory / f"payments{suffix}"
    path.write_text(blocks[0])
    return path


def drive(name, program, directory, *command):
    """Gives a driver a server with attempts that others left behind; returns what it told, once it is told."""
    server = Server(program, directory / f"{name}.idem")
    for key in ("lost_after_the_charge", *plan.NOTHING_HAPPENED):
        server.lose(plan.SCOPE, key)
    server.begin(plan.SCOPE, "held_and_lost", lease_ms=plan.HELD_MS)
    environment = {**os.environ, "IDEMSTORE_URL": server.url, "PYTHONDONTWRITEBYTECODE": "1"}
    driver = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, env=environment)
    return name, server, driver


def conclude(name, server, driver):
    told, _ = driver.communicate(timeout=DEADLINE_S)
    assert driver.returncode == 0, f"{name} exited with {driver.returncode}"
    plan.judge(json.loads(told))
    for key in (*plan.HAPPENED, *plan.NOTHING_HAPPENED, "storm"):
        status, record = server.record(plan.SCOPE, key)
        assert status == 200 and record["state"] == "completed", record
    print(f"  {name}: one charge for each payment", flush=True)


def read_metrics(server, directory):
    """Has Prometheus' own reader for Python read the metrics."""
    with urllib.request.urlopen(f"{server.url}/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = response.read().decode()
    python = directory / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)
    install = subprocess.run([python, "-m", "pip", "install", "-q", "prometheus_client"], capture_output=True)
    if install.returncode:
        print("  metrics: skipped, no registry")
        return
    read = subprocess.run([python, "-c", READ_METRICS], input=text, capture_output=True, text=True, check=True).stdout.split()
    assert int(read[0]) > 25 and int(read[1]) > 60 and read[2:] == ["counter", "gauge", "histogram"], read
    print(f"  metrics: {read[0]} families with {read[1]} samples")


def vet_go(directory):
    if not (go := shutil.which("go")):
        print("  Go: skipped, there is none here")
        return
    module = directory / "go"
    module.mkdir()
    client("go", ".go", module)
    (module / "go.mod").write_text("module payments\n\ngo 1.19\n")
    subprocess.run([go, "vet", "./..."], cwd=module, check=True)
    print("  Go: vetted")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", help="the program; built unless given")
    program = parser.parse_args().program or build()
    driven = []
    with tempfile.TemporaryDirectory(prefix="clients-") as directory:
        directory = pathlib.Path(directory)
        try:
            driven.append(drive("Python", program, directory, sys.executable, HERE / "drive.py", client("python", ".py", directory)))
            if node := shutil.which("node"):
                shared = {"scope": plan.SCOPE, "happened": plan.HAPPENED, "nothing_happened": plan.NOTHING_HAPPENED}
                module = client("js", ".mjs", directory)
                driven.append(drive("JavaScript", program, directory, node, HERE / "drive.mjs", module, json.dumps(shared)))
            else:
                print("  JavaScript: skipped, there is no Node here")
            vet_go(directory)
            for one in driven:
                conclude(*one)
            read_metrics(driven[0][1], directory)
        finally:
            for _, server, driver in driven:
                driver.kill()
                driver.wait()
                server.kill()


if __name__ == "__main__":
    main()
