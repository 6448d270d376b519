#!/usr/bin/env python3
"""Breaks the store on purpose, in one place at a time, and demands that the tests notice.

Each mutant takes away a sync or a removal, or swaps two steps of which the order matters. It is applied to a copy of the source; the
tests that are named with it have to fail, as tests: a mutant that does not compile, or hangs, proves nothing. First the
same tests run on the unchanged copy and have to pass, unless it is said that they have.

    python3 tests/mutants/run.py               # all
    python3 tests/mutants/run.py --passed      # all; `cargo test` has passed on this very source
    python3 tests/mutants/run.py --tenth       # every tenth, and with the next commit others
    python3 tests/mutants/run.py take_back     # those whose name contains it
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

from table import MUTANTS

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PLACE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "mutants"
COPIED = ["Cargo.toml", "Cargo.lock", "README.md", "src", "tests", "benches", "examples"]
PATIENCE_SECONDS = 300
SETTINGS = {
    "IDEMSTORE_CRASH_IMAGES": "1500",
    "IDEMSTORE_CUT_VARIANTS": "3",
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_INCREMENTAL": "1",
    "RUST_BACKTRACE": "0",
}


def main():
    have_passed, a_tenth = "--passed" in sys.argv, "--tenth" in sys.argv
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    wanted = [mutant for mutant in MUTANTS if all(word in mutant.name for word in words)]
    if a_tenth:
        wanted = wanted[commit() % 10 :: 10]
    if not wanted:
        sys.exit("no such mutant")
    tree = copy_of_the_source()
    for mutant in MUTANTS:
        mutant.check_matches(tree)
    started = time.monotonic()
    if not have_passed:
        check_unchanged(tree, sorted({test for mutant in wanted for test in mutant.tests}))
    survived = [mutant.name for mutant in wanted if not is_caught(tree, mutant)]
    print(f"{len(wanted) - len(survived)} of {len(wanted)} mutants caught in {time.monotonic() - started:.0f}s")
    if survived:
        sys.exit(f"not caught: {', '.join(survived)}")


def check_unchanged(tree, tests):
    started = time.monotonic()
    verdict, output = run_tests(tree, tests)
    if verdict != "passed":
        sys.exit(f"{output[-4000:]}\nthe tests do not pass on the unchanged source: {verdict}")
    print(f"unchanged: {' '.join(tests)} pass ({time.monotonic() - started:.0f}s)", flush=True)


def commit():
    """Returns the commit's name as a number."""
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    return int(found.stdout.strip() or "0", 16)


def copy_of_the_source():
    """Returns the copy; the build beside it stays from run to run. What is copied is as new as the copy: otherwise the last mutant of the
    run before would pass for what was built of it."""
    tree = PLACE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, tree / name, copy_function=shutil.copy)
        elif source.exists():
            shutil.copy(source, tree / name)
    return tree


def is_caught(tree, mutant):
    started = time.monotonic()
    before = {path: (tree / path).read_text() for path, _, _ in mutant.edits}
    try:
        mutant.apply(tree)
        verdict, output = run_tests(tree, mutant.tests)
    finally:
        for path, text in before.items():
            (tree / path).write_text(text)
    by = ", ".join(re.findall(r"^test (\S+) \.\.\. FAILED$", output, re.MULTILINE))
    print(f"{mutant.name}: {f'caught by {by}' if verdict == 'failed' else verdict.upper()} ({time.monotonic() - started:.0f}s)", flush=True)
    if verdict == "did not compile":
        print(output[-3000:])
    return verdict == "failed"


def run_tests(tree, tests):
    """Returns `passed`, `failed`, or what prevented both. Tests of the storage itself are in the library, all others are crash tests."""
    inside = [test.startswith("storage::") for test in tests]
    targets = ["--lib"] * any(inside) + ["--test", "crash"] * (not all(inside))
    command = ["cargo", "test", "--no-fail-fast", *targets, "--", *tests]
    environment = os.environ | SETTINGS | {"CARGO_TARGET_DIR": str(PLACE / "build")}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        return "hung", process.communicate()[0]
    if "could not compile" in output:
        return "did not compile", output
    ran = sum(int(count) for pair in re.findall(r"(\d+) passed; (\d+) failed", output) for count in pair)
    if ran < len(tests):
        return f"ran {ran} tests", output
    if process.returncode == 0:
        return "passed", output
    return ("failed" if "test result: FAILED" in output else "ended otherwise"), output


if __name__ == "__main__":
    main()
