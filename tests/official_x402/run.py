#!/usr/bin/env python3
"""Runs the official x402 packages, unmodified, against an idempotency store, and checks that nobody pays twice.

The clients are npm's @x402/fetch and PyPI's x402 with httpx and with requests; the facilitator is a mock without a chain.

    python3 tests/official_x402/run.py                                   # everything, with what is built here
    python3 tests/official_x402/run.py --proxy-command "idemstore proxy" # another proxy
    python3 tests/official_x402/run.py baseline                          # one scenario

Needs Python 3.11, Node 20 and the registries of both; exits with 77 where they are not to be had.
"""

import argparse
import pathlib
import shlex
import signal
import sys
import tempfile
import time

import cases
import manners
from cases import Verdict, is_paid, new_id, play
from stack import HERE, INSTALLED, Child, Client, build_paygate, build_program, complaints, install, skip
from stages import Express, Paygate, Proxied

CLIENTS = {
    "fetch": ["node", INSTALLED / "node" / "client.mjs"],
    "httpx": [sys.executable, HERE / "client.py", "httpx"],
    "requests": [sys.executable, HERE / "client.py", "requests"],
}


def main():
    arguments = parse_arguments()
    # A stop request unwinds, so that everything that was started ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    install()
    chosen = arguments.scenarios or list(SCENARIOS)
    if arguments.paygate is None and {"unprotected", "protected"} & set(chosen):
        arguments.paygate = build_paygate()
    if arguments.proxy_command is None and "proxied" in chosen:
        arguments.proxy_command = f"{shlex.quote(build_program())} proxy"
    started, checks, failed = time.monotonic(), 0, []
    try:
        with tempfile.TemporaryDirectory(prefix="official-x402-") as directory:
            directory = pathlib.Path(directory)
            clients = [Client(name, *command, log=directory / "clients") for name, command in CLIENTS.items()]
            for name in chosen:
                print(f"\n{name}: {SCENARIOS[name].__doc__.splitlines()[0]}", flush=True)
                verdict = Verdict()
                place = directory / name
                place.mkdir()
                SCENARIOS[name](arguments, place, clients, verdict)
                print(f"  {verdict.checks - verdict.failures} of {verdict.checks} checks passed")
                checks += verdict.checks
                if verdict.failures:
                    failed.append(name)
                    print(complaints(place / "complaints"))
    finally:
        Child.kill_all()
    print(f"\n{len(chosen)} scenarios in {time.monotonic() - started:.0f} s; failed: {', '.join(failed) or 'none'}")
    if not checks:
        skip("nothing was checked")
    return 1 if failed else 0


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--paygate", help="the example `x402_paygate`; built unless given")
    parser.add_argument("--proxy-command", help="how to start the proxy, without its options; built unless given")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(unknown)}")
    return arguments


def manners_of_clients(arguments, directory, clients, verdict):
    """What the official clients send, and do on an answer that is not what they paid for."""
    for client in clients:
        manners.observe(client, verdict)


def baseline(arguments, directory, clients, verdict):
    """The official server with nothing of ours: the double charges that all this is about, so they can be seen."""
    stage = Express(directory)
    for client in clients:
        expect_double_charges(stage, client, verdict)
    fail_without_protection(stage, clients, verdict)


def unprotected(arguments, directory, clients, verdict):
    """Our paygate without the store: the same double charges, so it is the store that prevents them."""
    stage = Paygate(directory, arguments.paygate, is_bare=True)
    expect_double_charges(stage, clients[0], verdict)
    fail_without_protection(stage, clients, verdict)


def protected(arguments, directory, clients, verdict):
    """Our paygate with the store around it."""
    hold_for_every_client(Paygate(directory, arguments.paygate), clients, verdict)


def proxied(arguments, directory, clients, verdict):
    """The official server behind the proxy."""
    stage = Proxied(directory, arguments.proxy_command)
    hold_for_every_client(stage, clients, verdict)
    play(cases.an_upstream_that_is_killed_after_the_charge_leaves_the_outcome_unknown, stage, clients[0], clients[1:], verdict)


SCENARIOS = {
    "manners": manners_of_clients,
    "baseline": baseline,
    "unprotected": unprotected,
    "protected": protected,
    "proxied": proxied,
}


def hold_for_every_client(stage, clients, verdict):
    for client in clients:
        others = [other for other in clients if other is not client]
        for case in cases.ALL:
            play(case, stage, client, others, verdict)


def expect_double_charges(stage, client, verdict):
    verdict.title(f"without protection ({client.name})")
    since, payment_id = stage.counting(), new_id()
    first, payment = client.pay(stage.report, payment_id)
    verdict.holds(f"the first call: {first}", is_paid(first), "200 with a receipt")
    verdict.equal("it cost", since(), {"runs": 1, "verify": 1, "settle": 1, "charged": 1})
    retry = stage.send(payment)
    verdict.equal("the same bytes again", retry.status, 402)
    verdict.equal("the handler ran again", since(), {"runs": 2, "verify": 2, "settle": 2, "charged": 1})
    other, _ = client.pay(stage.report, payment_id)
    verdict.holds(f"the same id with another nonce: {other}", is_paid(other), "200 with a receipt")
    verdict.equal("charged twice", since(), {"runs": 3, "verify": 3, "settle": 3, "charged": 2})
    again, made = client.pay(stage.report, payment_id, "again", payment=payment)
    verdict.holds(f"the client's own retry: {again}", is_paid(again) and made is not None, "it takes the 402 and pays anew")
    verdict.equal("charged again", since(), {"runs": 5, "verify": 5, "settle": 5, "charged": 3})


def fail_without_protection(stage, clients, verdict):
    """Each case has to notice that nothing protects this stage."""
    verdict.title("every case that needs protection fails here")
    for case in cases.NEED_PROTECTION:
        noticed = Verdict(is_quiet=True)
        play(case, stage, clients[0], clients[1:], noticed)
        verdict.holds(f"{case.__name__}: {noticed.failures} of {noticed.checks} checks failed", noticed.failures > 0, "a failure")


if __name__ == "__main__":
    sys.exit(main())
