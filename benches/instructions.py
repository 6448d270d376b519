#!/usr/bin/env python3
"""Counts the instructions that an operation takes in user space, by thread, and its allocations.

Runs `benches/operations.rs` under callgrind with two counts; the difference is what the operations themselves take. The
figures do not depend on what else the machine does. Needs valgrind (`apt-get install valgrind`).

    python3 benches/instructions.py [KIND..]      payment, replay, mismatch, in-flight; all unless given
    python3 benches/instructions.py --functions payment     where they go, by function
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# In the order in which threads start.
THREADS = ["caller", "writer", "timer", "checkpoint"]
# What is stored before takes some ten million more or fewer each time, so what takes little is done often.
FEW, OFTEN = (2000, 30000), (2000, 402000)
KINDS = {"payment": FEW, "replay": OFTEN, "mismatch": OFTEN, "in-flight": OFTEN}


def program():
    """Builds the bench and returns where it is."""
    build = ["cargo", "bench", "--no-run", "--bench", "operations", "--message-format", "json"]
    output = subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    artifacts = (json.loads(line) for line in output.splitlines())
    return next(a["executable"] for a in artifacts if a.get("target", {}).get("name") == "operations")


def count(executable, kind, operations):
    """Returns instructions by thread, calls of malloc, and instructions by function."""
    with tempfile.TemporaryDirectory() as directory:
        out = pathlib.Path(directory) / "out"
        callgrind = ["valgrind", "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}"]
        run = subprocess.run([*callgrind, executable, kind, str(operations)], capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(run.stderr)
        by_thread, allocations, by_function = [], 0, {}
        for file in sorted(pathlib.Path(directory).glob("out*-[0-9]*")):
            text = file.read_text()
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            by_thread.append(int(total.group(1)) if total else 0)
            allocations += calls_of_malloc(text)
            add_functions(text, THREADS[len(by_thread) - 1], by_function)
        return by_thread, allocations, by_function


def calls_of_malloc(text):
    """Names are compressed: the first use of a number has the name."""
    numbers = set(re.findall(r"^c?fn=(\(\d+\)) (?:malloc|calloc|realloc|memalign)$", text, re.MULTILINE))
    called = re.findall(r"^cfn=(\(\d+\)).*\ncalls=(\d+)", text, re.MULTILINE)
    return sum(int(calls) for number, calls in called if number in numbers)


def add_functions(text, thread, by_function):
    """Adds what each function takes itself."""
    names, current, is_call = {}, None, False
    for line in text.splitlines():
        if line.startswith(("fn=", "cfn=")):
            number, _, name = line.split("=", 1)[1].partition(" ")
            if name:
                names[number] = name
            if line.startswith("fn="):
                current = number
        elif line.startswith("calls="):
            is_call = True
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not is_call:
                place = (thread, names.get(current, current))
                by_function[place] = by_function.get(place, 0) + int(line.split()[-1])
            is_call = False


def main():
    arguments = sys.argv[1:]
    wants_functions = "--functions" in arguments
    kinds = [argument for argument in arguments if argument != "--functions"] or list(KINDS)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not shutil.which("valgrind"):
        sys.exit(f"there is no {unknown[0]}\n{__doc__}" if unknown else "valgrind is missing: apt-get install valgrind")
    executable = program()
    for kind in kinds:
        few, many = KINDS[kind]
        less, more = count(executable, kind, few), count(executable, kind, many)
        per = [(b - a) / (many - few) for a, b in zip(less[0], more[0])]
        if kind != "payment":
            # Nothing is left to the other threads: what they happen to do in between is not the operation's.
            per = per[:1]
        threads = ", ".join(f"{name} {max(instructions, 0):,.0f}" for name, instructions in zip(THREADS, per))
        allocations = (more[1] - less[1]) / (many - few)
        print(f"{kind}: {sum(per):,.0f} instructions ({threads}), {allocations:.1f} allocations", flush=True)
        if wants_functions:
            grown = {place: more[2][place] - less[2].get(place, 0) for place in more[2]}
            for (thread, name), instructions in sorted(grown.items(), key=lambda item: -item[1])[:40]:
                print(f"  {instructions / (many - few):>10,.0f}  {thread:<10}  {name[:100]}")


if __name__ == "__main__":
    main()
