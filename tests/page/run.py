#!/usr/bin/env python3
"""Uses the operator page in headless Chromium as a person would, against the real server, and checks the store afterwards.

    python3 tests/page/run.py                # all scenes
    python3 tests/page/run.py fits_a_phone   # one

Needs Debian's chromium and chromium-driver; exits with 77 where they are not to be had.
"""

import argparse
import json
import pathlib
import signal
import sys
import tempfile
import time

import scenes
import trouble
from browser import Browser, Missing
from server import Load, Server, build

# Lines of the console that a scene means to cause.
EXPECTED = {
    "tells_of_a_lost_connection_and_recovers": "ERR_CONNECTION_REFUSED",
    "asks_for_the_token_and_keeps_it_in_the_tab": "401 (Unauthorized)",
    "filters_and_pages": "404 (Not Found)",
    "releases_after_a_second_thought": "404 (Not Found)",
    "tells_a_record_by_its_timeline": "404 (Not Found)",
    "says_why_a_live_lease_cannot_be_resolved": "409 (Conflict)",
}


def foreign(log, url):
    """Returns what was asked of anybody but the server at `url`."""
    messages = [json.loads(entry["message"])["message"] for entry in log]
    asked = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return [one for one in asked if not one.startswith((f"{url}/", "data:", "about:", "chrome"))]


def complaints(log, scene):
    """Returns errors and warnings of the console that no scene meant to cause."""
    expected = EXPECTED.get(scene, "\0")
    return [entry["message"] for entry in log if entry["level"] in ("SEVERE", "WARNING") and expected not in entry["message"]]


def controls():
    """Shows the detectors what they have to report."""
    request = {"message": {"method": "Network.requestWillBeSent", "params": {"request": {"url": "https://fonts.example/a.css"}}}}
    assert foreign([{"message": json.dumps(request)}], "http://127.0.0.1:1") == ["https://fonts.example/a.css"]
    assert complaints([{"level": "SEVERE", "message": "Uncaught TypeError"}], "fits_a_phone") == ["Uncaught TypeError"]


def play(name, scene, url):
    """Runs a scene in a browser of its own and looks at what it left in the logs."""
    started = time.monotonic()
    with Browser() as browser:
        browser.prefer("light")
        browser.resize(1360, 940)
        scene(browser)
        assert (strange := complaints(browser.log("browser"), name)) == [], strange
        requests = browser.log("performance")
        assert requests, "requests were logged"
        assert (strange := foreign(requests, url())) == [], strange
    print(f"  {name} ({time.monotonic() - started:.1f} s)", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenes", nargs="*", metavar="SCENE")
    parser.add_argument("--program", help="the program; built unless given")
    arguments = parser.parse_args()
    # A stop request unwinds, so that everything that was started ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        Browser().close()
    except Missing as missing:
        print(f"skipped: {missing}")
        return 77
    controls()
    program = arguments.program or build()
    with tempfile.TemporaryDirectory(prefix="page-") as directory:
        directory = pathlib.Path(directory)
        played = play_all(program, directory, arguments.scenes)
    print(f"{played} scenes played")
    return 0 if played else 1


def play_all(program, directory, chosen):
    wanted = lambda name: not chosen or name in chosen
    played = 0
    with Server(program, directory / "filled.idem") as server:
        scenes.fill(server)
        first = [scenes.shows_figures_and_moves_under_load]
        rest = [
            scenes.filters_and_pages, scenes.text_of_clients_stays_text, scenes.tells_a_record_by_its_timeline,
            scenes.resolves_with_the_mouse, scenes.resolves_with_the_keyboard_alone, scenes.releases_after_a_second_thought,
            scenes.says_why_a_live_lease_cannot_be_resolved, scenes.fits_a_phone, scenes.is_legible_and_named_in_light_and_dark, scenes.follows_the_wish_for_a_theme_and_for_rest,
            trouble.tells_of_a_poisoned_store_and_a_doubted_clock, trouble.tells_of_damaged_records,
            trouble.finds_a_record_by_its_name_however_many_there_are,
            trouble.shows_what_can_be_read_of_bytes, trouble.pauses_while_nobody_looks,
        ]
        for scene in filter(lambda scene: wanted(scene.__name__), first + rest):
            extra = [Load] if scene in first else []
            play(scene.__name__, lambda browser: scene(browser, server, *extra), lambda: server.url)
            played += 1
    name = "asks_for_the_token_and_keeps_it_in_the_tab"
    if wanted(name):
        with Server(program, directory / "guarded.idem", token="open-sesame") as server:
            server.end(scenes.SHOP, "paid")
            play(name, lambda browser: trouble.asks_for_the_token_and_keeps_it_in_the_tab(browser, server), lambda: server.url)
        played += 1
    name = "tells_of_a_lost_connection_and_recovers"
    if wanted(name):
        last = []

        def start(listen="127.0.0.1:0"):
            last.append(Server(program, directory / "restarted.idem", listen))
            return last[-1]

        play(name, lambda browser: trouble.tells_of_a_lost_connection_and_recovers(browser, start), lambda: last[-1].url)
        played += 1
    return played


if __name__ == "__main__":
    sys.exit(main())
