"""The topologies: which server stands between the clients and the facilitator, and how it is killed and started again."""

import shlex

from stack import INSTALLED, Server, request

NODE = INSTALLED / "node"
# How long a duplicate waits is up to the server; this keeps the run short.
PROXY_OPTIONS = ["--listen", "127.0.0.1:0", "--profile", "x402", "--require-key", "--methods", "GET,POST", "--wait", "1s"]


class Stage:
    """A resource server and its facilitator. Counts what happened over all the servers that it has had."""

    def __init__(self, directory):
        self.directory = directory
        self.log = directory / "complaints"
        self.facilitator = Server("facilitator", "node", NODE / "facilitator.mjs", log=self.log)
        self.runs_of_the_dead = 0
        self.servers = self.start()

    def start(self):
        """Starts the servers, from the handler to the one that clients see."""
        raise NotImplementedError

    def kill(self):
        """Kills all the servers without a warning, first the one that clients see: it is not to hear of the other's end."""
        self.runs_of_the_dead += self.servers[0].read("/runs")["runs"]
        for server in reversed(self.servers):
            server.kill()

    def restart(self):
        self.servers = self.start()

    @property
    def report(self):
        return self.servers[-1].url + "/report"

    def facilitator_does(self, **how):
        self.facilitator.write("/control", how)

    def counts(self):
        seen = self.facilitator.read("/seen")
        return seen | {"runs": self.runs_of_the_dead + self.servers[0].read("/runs")["runs"]}

    def counting(self):
        """Returns what has happened since, in short: handler runs, calls to the facilitator, charges."""
        before = self.counts()

        def since():
            now = self.counts()
            return {name: now[name] - before[name] for name in ("runs", "verify", "settle", "charged")}

        return since

    def send(self, payment, url=None, method="GET", body=None):
        """Sends a request with a payment header as it is."""
        return request(url or self.report, method, body, {"PAYMENT-SIGNATURE": payment} if payment else {})

    def make(self, client, payment_id):
        """Returns a payment that has not been sent."""
        return client.do("make", id=payment_id, required=self.send(None).headers["payment-required"])["payment"]


class Express(Stage):
    """The official server, with nothing of ours."""

    def start(self):
        return [Server("express", "node", NODE / "server.mjs", self.facilitator.url, log=self.log)]


class Paygate(Stage):
    """A paygate in axum, with the store around it or bare."""

    def __init__(self, directory, binary, is_bare=False):
        self.command = [binary, *(["--bare"] if is_bare else ["--db", directory / "paygate.idem"])]
        super().__init__(directory)

    def start(self):
        return [Server("paygate", *self.command, "--facilitator", self.facilitator.url, log=self.log)]


class Proxied(Stage):
    """The official server behind the proxy."""

    def __init__(self, directory, proxy_command):
        self.command = [*shlex.split(proxy_command), "--db", directory / "proxy.idem", *PROXY_OPTIONS]
        super().__init__(directory)

    def start(self):
        express = self.start_express()
        return [express, Server("proxy", *self.command, "--upstream", express.url, log=self.log)]

    def start_express(self, port="0"):
        return Server("express", "node", NODE / "server.mjs", self.facilitator.url, port, log=self.log)

    def replace_upstream(self):
        """Kills the official server and starts another in its place; the proxy goes on."""
        express = self.servers[0]
        self.runs_of_the_dead += express.read("/runs")["runs"]
        express.kill()
        self.servers[0] = self.start_express(express.url.rsplit(":", 1)[1])
