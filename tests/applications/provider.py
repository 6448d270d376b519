"""A payment provider that charges for whatever it is asked, counts, and may keep its callers waiting after the charge."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Provider:
    def __init__(self):
        self.charges, self.changed, self.is_held = 0, threading.Condition(), False
        handler = type("Handler", (Charging,), {"provider": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def charge(self):
        with self.changed:
            self.charges += 1
            self.changed.notify_all()
            number = self.charges
            self.changed.wait_for(lambda: not self.is_held)
            return number

    def hold(self, is_held):
        """Charges from now on, and answers when it is let."""
        with self.changed:
            self.is_held = is_held
            self.changed.notify_all()

    def wait_for(self, charges, seconds):
        with self.changed:
            if not self.changed.wait_for(lambda: self.charges >= charges, seconds):
                raise RuntimeError(f"{self.charges} of {charges} charges came in {seconds} s")


class Charging(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"id": f"ch_{self.provider.charge()}"}).encode()
        try:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # Whoever asked was killed.

    def log_message(self, *_):
        pass
