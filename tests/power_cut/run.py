#!/usr/bin/env python3
"""Cuts the power of a real file system under a working store, and checks that nothing acknowledged is lost.

Each round makes the load work on an ext4 file system in a loop-mounted image, shuts that file system down without
flushing its journal (FS_IOC_SHUTDOWN), mounts it again, and compares the store with everything it ever acknowledged.

    python3 tests/power_cut/run.py              # 10 rounds
    python3 tests/power_cut/run.py --control    # a disk that lies about syncs: losses must be found

Needs root, loop devices and mkfs.ext4; exits with 77 where they are not to be had.
"""

import argparse
import contextlib
import fcntl
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TEST = "jobs::a_process_without_a_job_is_a_plain_test_run"
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
IMAGE_BYTES = 256 * 1024 * 1024
PATIENCE_SECONDS = 60
SKIPPED = 77


def main():
    arguments = parse_arguments()
    seed = arguments.seed if arguments.seed is not None else random.randrange(2**32)
    print(f"IDEMSTORE_SEED={seed}, {arguments.rounds} rounds{', negative control' if arguments.control else ''}", flush=True)
    # A stop request unwinds, so that everything is unmounted.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="power-cut-") as directory:
        disk = Disk(pathlib.Path(directory))
        skip_unless_possible(disk)
        worker = arguments.worker or build_worker()
        play = control if arguments.control else proof
        passed, failed = play(worker, disk, random.Random(seed), arguments.rounds)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("IDEMSTORE_POWER_CUTS", "10")))
    parser.add_argument("--seed", type=int, default=os.environ.get("IDEMSTORE_SEED"))
    parser.add_argument("--control", action="store_true", help="the disk lies about syncs: every round must find losses")
    parser.add_argument("--worker", help="the `process` test binary; built unless given")
    return parser.parse_args()


class Disk:
    """An ext4 file system in a file, mounted on a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.image = directory / "disk.img"
        self.at = directory / "mounted"
        self.journal = directory / "journal"
        self.at.mkdir()

    def format(self):
        with open(self.image, "wb") as image:
            image.truncate(IMAGE_BYTES)
        run("mkfs.ext4", "-q", "-F", self.image)

    @contextlib.contextmanager
    def mounted(self):
        # The loop device goes with the mount.
        run("mount", "-o", "loop", self.image, self.at)
        try:
            yield self.at / "s.idem"
        finally:
            self.unmount()

    def unmount(self):
        for _ in range(100):
            if subprocess.run(["umount", self.at], stderr=subprocess.PIPE).returncode == 0:
                return
            time.sleep(0.1)
        run("umount", "--lazy", self.at)

    def cut_power(self):
        """What was not synced is gone: the page cache is dropped, and so is what ext4's journal holds in memory."""
        handle = os.open(self.at, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, FS_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(handle)


def run(*command):
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stdout.strip()}")


def skip_unless_possible(disk):
    try:
        if os.geteuid() != 0:
            raise RuntimeError("not root")
        disk.format()
        with disk.mounted():
            disk.cut_power()
    except (OSError, RuntimeError) as error:
        print(f"skipped: no file system whose power can be cut: {error}")
        sys.exit(SKIPPED)


def build_worker():
    command = ["cargo", "test", "--test", "process", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in built.stdout.splitlines() if line.startswith("{")]
    return next(found["executable"] for found in artifacts if found.get("executable"))


class Worker:
    """The test binary at work on a job, and its journal as far as it has been read."""

    def __init__(self, binary, job, store, **settings):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IDEMSTORE_JOB")}
        environment |= {"IDEMSTORE_JOB": job, "IDEMSTORE_JOB_STORE": str(store)}
        environment |= {f"IDEMSTORE_JOB_{name.upper()}": str(value) for name, value in settings.items()}
        command = [binary, TEST, "--exact", "--nocapture", "--test-threads=1"]
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.lines, self.arrived = [], threading.Condition()
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            # A line without its end was cut off with the worker.
            if line.startswith(b"@ ") and line.endswith(b"\n"):
                with self.arrived:
                    self.lines.append(line.decode())
                    self.arrived.notify_all()

    def acknowledged(self):
        return sum(line.startswith("@ A ") for line in self.lines)

    def wait_for_acknowledgments(self, count):
        with self.arrived:
            if not self.arrived.wait_for(lambda: self.acknowledged() >= count, PATIENCE_SECONDS):
                raise RuntimeError(f"only {self.acknowledged()} acknowledgments in {PATIENCE_SECONDS} s")

    def stop(self, with_signal=None):
        if with_signal is not None:
            self.process.send_signal(with_signal)
        code = self.process.wait(PATIENCE_SECONDS)
        self.reader.join()
        self.process.stdin.close()
        return code


def work_until_the_cut(binary, disk, store, rng, number, lies, is_creation):
    """Returns the journal of a worker whose disk lost its power, with every acknowledgment that was read."""
    settings = {"lies": 1} if lies else {}
    worker = Worker(binary, "load", store, round=number, seed=rng.randrange(2**63), **settings)
    try:
        if is_creation:
            time.sleep(rng.random() * 0.15)
        else:
            worker.wait_for_acknowledgments(1 + rng.randrange(400))
            time.sleep(rng.random() * 0.02)
        if lies:
            # A store that lies goes on acknowledging after the cut; only what it said before counts.
            worker.process.send_signal(signal.SIGSTOP)
        before = worker.acknowledged()
        disk.cut_power()
    finally:
        worker.stop(signal.SIGKILL)
    return worker.lines, before


def verify(binary, disk, store):
    """Returns the violations that the checker found, as text."""
    worker = Worker(binary, "verify", store, journal=disk.journal)
    code = worker.stop()
    if code != 0 or not worker.lines or not worker.lines[-1].startswith("@ VERIFIED"):
        raise RuntimeError(f"the checker did not get to its end: code {code}, {worker.lines[-3:]}")
    report = dict(word.split("=") for word in worker.lines[-1].split()[2:])
    named = [line.strip() for line in worker.lines if line.startswith("@ VIOLATION")]
    return int(report["violations"]), named, report


def round_of(binary, disk, rng, number, lies=False, is_creation=False):
    with disk.mounted() as store:
        lines, before = work_until_the_cut(binary, disk, store, rng, number, lies, is_creation)
        found = sorted(path.name for path in store.parent.glob("s.idem*"))
    with open(disk.journal, "a") as journal:
        journal.writelines([*lines, "@ CUT\n"])
    with disk.mounted() as store:
        violations, named, report = verify(binary, disk, store)
    total = f"{report['acks']} acknowledgments and {report['keys']} keys checked so far"
    cut = f"creation cut with {' '.join(found) or 'no file'}" if is_creation else "cut"
    checkpoints = sum(line.strip() == "@ CHECKPOINTED" for line in lines)
    print(f"round {number}: {cut} after {before} acknowledgments and {checkpoints} checkpoints; {total}; {violations} violations", flush=True)
    for violation in named[:1] if lies else named:
        print(f"    {violation}")
    return violations, checkpoints


def new_disk(disk):
    disk.format()
    disk.journal.write_text("")


def new_store(binary, disk):
    new_disk(disk)
    with disk.mounted() as store:
        if Worker(binary, "create", store).stop() != 0:
            raise RuntimeError("the store could not be created")


def proof(binary, disk, rng, rounds):
    """Cuts while a store is created; then one store and many cuts, each of which must leave all that was ever acknowledged."""
    violations = []
    for number in range(rounds):
        new_disk(disk)
        violations.append(round_of(binary, disk, rng, number, is_creation=True)[0])
    new_store(binary, disk)
    checkpoints = 0
    for number in range(rounds):
        found, done = round_of(binary, disk, rng, number)
        violations.append(found)
        checkpoints += done
    if checkpoints < rounds:
        raise RuntimeError(f"only {checkpoints} checkpoints in {rounds} rounds: the cuts do not fall into them")
    failed = sum(count > 0 for count in violations)
    return len(violations) - failed, failed


def control(binary, disk, rng, rounds):
    """A store on a disk that lies: unless losses are found, the cut does not cut or the checker does not check."""
    violations = []
    for number in range(rounds):
        new_store(binary, disk)
        violations.append(round_of(binary, disk, rng, number, lies=True)[0])
    failed = sum(count == 0 for count in violations)
    return len(violations) - failed, failed


if __name__ == "__main__":
    sys.exit(main())
