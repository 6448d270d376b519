"""Uses the guide's client for Python as a shop would: `drive.py MODULE` prints what came of it."""

import importlib.util
import json
import sys
import threading
import time

import plan


def load(path):
    spec = importlib.util.spec_from_file_location("payments", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main():
    payments = load(sys.argv[1])
    charges, asked = [], []

    def charge(order):
        charges.append(order["of"])
        # Long enough that the others come meanwhile.
        time.sleep(0.2)
        return {"receipt": len(charges)}

    def find_out(key):
        asked.append(key)
        return {"receipt": "found"} if key in plan.HAPPENED else None

    def once(key, order=None):
        return payments.once(plan.SCOPE, key, order or {"of": key}, charge, find_out)

    told = {"storm": [], "mismatch": None}
    callers = [threading.Thread(target=lambda: told["storm"].append(once("storm"))) for _ in range(8)]
    [caller.start() for caller in callers]
    [caller.join() for caller in callers]
    told["again"] = once("storm")
    try:
        once("storm", {"of": "something else"})
    except ValueError as error:
        told["mismatch"] = str(error)
    for key in (*plan.HAPPENED, *plan.NOTHING_HAPPENED):
        told[key] = once(key)
    try:
        once("")
    except RuntimeError as error:
        told["wrong"] = str(error)
    print(json.dumps(told | {"charges": charges, "asked": asked}))


if __name__ == "__main__":
    main()
