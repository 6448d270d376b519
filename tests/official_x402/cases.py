"""What has to hold for every client of a protected server. Each case is also run against servers without protection, where it
has to fail."""

import json
import secrets
import threading
import time

from stack import wait_until

DUPLICATES = 8
RETRIES_MAX = 10
UNTOUCHED = {"runs": 0, "verify": 0, "settle": 0, "charged": 0}
PAID_ONCE = {"runs": 1, "verify": 1, "settle": 1, "charged": 1}


class Verdict:
    """Says what was seen and counts what should not have been."""

    def __init__(self, is_quiet=False):
        self.is_quiet, self.checks, self.failures = is_quiet, 0, 0

    def title(self, text):
        if not self.is_quiet:
            print(f"  {text}", flush=True)

    def equal(self, what, seen, wanted):
        self.holds(f"{what}: {seen}", seen == wanted, f"wanted {wanted}")

    def holds(self, what, is_so, wanted=""):
        self.checks += 1
        self.failures += not is_so
        if not self.is_quiet:
            print(f"    {'ok    ' if is_so else 'FAILED'} {what}{'' if is_so else '; ' + wanted}", flush=True)


def new_id():
    return f"pay_{secrets.token_hex(16)}"


class Together:
    """Calls that run at the same time."""

    def __init__(self, calls):
        self.results = [None] * len(calls)
        self.threads = [threading.Thread(target=self.run, args=(at, call)) for at, call in enumerate(calls)]
        for thread in self.threads:
            thread.start()

    def run(self, at, call):
        try:
            self.results[at] = call()
        except Exception as error:  # Raised again where the result is wanted.
            self.results[at] = error

    def wait(self):
        for thread in self.threads:
            thread.join()
        for result in self.results:
            if isinstance(result, Exception):
                raise result
        return self.results


def is_busy(answer):
    return answer.status in (409, 503) and int(answer.headers.get("retry-after", "0")) > 0


def send_until_answered(stage, payment):
    """Does what a client does that is told to come back."""
    for _ in range(RETRIES_MAX):
        answer = stage.send(payment)
        if not is_busy(answer):
            break
        time.sleep(min(int(answer.headers["retry-after"]), 1))
    return answer


def is_paid(answer):
    return answer.status == 200 and answer.receipt_says("success") is True


def is_same(answer, first):
    return (answer.status, answer.body, answer.receipt()) == (first.status, first.body, first.receipt())


def is_conflict(answer, payment_id):
    """A refusal that names the id and gives nothing away of what is stored."""
    if answer.status != 409 or answer.receipt() or "report" in answer.body:
        return False
    said = json.loads(answer.body)
    return said.get("paymentId") == payment_id and "different payload" in said.get("error", "")


def a_retry_gets_the_stored_response_and_its_receipt(stage, client, others, verdict):
    since, payment_id = stage.counting(), new_id()
    first, payment = client.pay(stage.report, payment_id)
    verdict.holds(f"the first call: {first}", is_paid(first), "200 with a receipt")
    verdict.equal("it cost", since(), PAID_ONCE)
    for _ in range(2):
        retry = stage.send(payment)
        verdict.holds(f"the same bytes again: {retry}", is_same(retry, first), "the first response")
    again, other = client.pay(stage.report, payment_id, "again", payment=payment)
    verdict.holds(f"the client's own retry: {again}", is_same(again, first), "the first response")
    verdict.holds("it made no other payment", other is None, "the saved one was to do")
    for other in others:
        encoded = other.do("encode", payment=payment)["payment"]
        retry = stage.send(encoded)
        how = "the same bytes" if encoded == payment else "other base64"
        verdict.holds(f"encoded by {other.name}, {how}: {retry}", is_same(retry, first), "the first response")
    verdict.equal("all in all", since(), PAID_ONCE)


def an_id_buys_one_thing(stage, client, others, verdict):
    since, payment_id, order = stage.counting(), new_id(), '{"year": 2025}'
    first, payment = client.pay(stage.report, payment_id, method="POST", body=order)
    verdict.holds(f"the first call: {first}", is_paid(first), "200 with a receipt")
    second, other = client.pay(stage.report, payment_id, method="POST", body=order)
    verdict.holds(f"the same id with another nonce: {second}", is_conflict(second, payment_id), "409")
    verdict.holds("the nonce is another", other not in (None, payment), "a new payment")
    for what, changed in {
        "another body": stage.send(payment, method="POST", body='{"year": 2024}'),
        "another query": stage.send(payment, stage.report + "?all=1", "POST", order),
    }.items():
        verdict.holds(f"the same payment for {what}: {changed}", is_conflict(changed, payment_id), "409")
    verdict.equal("all in all", since(), PAID_ONCE)


def duplicates_at_the_same_time_are_settled_once(stage, client, others, verdict):
    since, payment = stage.counting(), stage.make(client, new_id())
    stage.facilitator_does(hold=True)
    calls = Together([lambda: stage.send(payment)] * DUPLICATES)
    wait_until("the settlement", lambda: stage.counts()["held"] > 0)
    stage.facilitator_does(hold=False)
    answers = calls.wait()
    answered = [answer for answer in answers if not is_busy(answer)]
    answered += [send_until_answered(stage, payment) for answer in answers if is_busy(answer)]
    told = sorted({str(answer) for answer in answers})
    is_one = bool(answered) and is_paid(answered[0]) and all(is_same(answer, answered[0]) for answer in answered)
    verdict.holds(f"{DUPLICATES} duplicates: {told}", is_one, "one response for all")
    verdict.equal("all in all", since(), PAID_ONCE)


def clients_that_pay_at_the_same_time_with_one_id_pay_once(stage, client, others, verdict):
    since, payment_id = stage.counting(), new_id()
    payers = [client, *others] * 2
    paid = Together([lambda payer=payer: payer.pay(stage.report, payment_id)[0] for payer in payers]).wait()
    refused = [answer for answer in paid if is_conflict(answer, payment_id)]
    told = sorted(str(answer) for answer in paid)
    verdict.holds(f"{len(payers)} payments: {told}", len(refused) == len(paid) - 1, "all but one refused")
    verdict.equal("all in all", since(), PAID_ONCE)


def a_payment_whose_server_is_killed_is_not_charged_again(stage, client, others, verdict):
    since, payment_id = stage.counting(), new_id()
    payment = stage.make(client, payment_id)
    stage.facilitator_does(hold=True)
    lost = Together([lambda: stage.send(payment)])
    wait_until("the settlement", lambda: stage.counts()["held"] > 0)
    stage.kill()
    verdict.holds(f"killed between settlement and answer: {lost.wait()[0]}", lost.results[0].status == 0, "a broken connection")
    stage.facilitator_does(hold=False)
    stage.restart()
    verdict.equal("it cost", since(), PAID_ONCE)
    retry = stage.send(payment)
    verdict.holds(f"the retry: {retry}", retry.status == 503 and is_busy(retry), "503 with Retry-After")
    expect_no_other_charge(stage, client, payment_id, payment, verdict)
    verdict.equal("all in all", since(), PAID_ONCE)


def an_upstream_that_is_killed_after_the_charge_leaves_the_outcome_unknown(stage, client, others, verdict):
    since, payment_id = stage.counting(), new_id()
    payment = stage.make(client, payment_id)
    stage.facilitator_does(hold=True)
    lost = Together([lambda: stage.send(payment)])
    wait_until("the settlement", lambda: stage.counts()["held"] > 0)
    stage.replace_upstream()
    verdict.holds(f"its server killed: {lost.wait()[0]}", lost.results[0].status == 504, "504")
    stage.facilitator_does(hold=False)
    retry = stage.send(payment)
    verdict.holds(f"the retry: {retry}", is_busy(retry), "409 or 503 with Retry-After")
    expect_no_other_charge(stage, client, payment_id, payment, verdict)
    verdict.equal("all in all", since(), PAID_ONCE)


def expect_no_other_charge(stage, client, payment_id, payment, verdict, error=None):
    """The outcome is not known: a client may come back with the payment, and pays nothing, whatever it tries. It may also be
    told the server's error again; but never a 402, which it would take for an invitation."""
    again, _ = client.pay(stage.report, payment_id, "again", payment=payment)
    is_told = error is not None and is_same(again, error)
    verdict.holds(f"the client's own retry: {again}", is_busy(again) or is_told, "409 or 503 with Retry-After")
    other, _ = client.pay(stage.report, payment_id)
    verdict.holds(f"the same id with another nonce: {other}", other.status in (409, 503), "409 or 503")


def a_refused_settlement_frees_the_id(stage, client, others, verdict):
    for what in ("the same payment", "another nonce"):
        since, payment_id = stage.counting(), new_id()
        stage.facilitator_does(settle="refuse")
        refused, payment = client.pay(stage.report, payment_id)
        verdict.holds(f"refused: {refused}", refused.status == 402 and since()["charged"] == 0, "402, nothing charged")
        stage.facilitator_does(settle="answer")
        paid = stage.send(payment) if what == "the same payment" else client.pay(stage.report, payment_id)[0]
        verdict.holds(f"{what}, once there is money: {paid}", is_paid(paid), "200 with a receipt")
        verdict.equal("all in all", since(), {"runs": 2, "verify": 2, "settle": 2, "charged": 1})


def expect_unknown(stage, client, verdict, settle):
    since, payment_id = stage.counting(), new_id()
    stage.facilitator_does(settle=settle)
    first, payment = client.pay(stage.report, payment_id)
    stage.facilitator_does(settle="answer")
    verdict.holds(f"the first call: {first}", not is_paid(first) and since()["charged"] == 1, "charged, and no receipt")
    before = since()
    expect_no_other_charge(stage, client, payment_id, payment, verdict, first if first.status >= 500 else None)
    verdict.equal("all in all", since(), before)


def a_pending_settlement_keeps_the_id(stage, client, others, verdict):
    expect_unknown(stage, client, verdict, "pend")


def a_facilitator_that_dies_after_the_charge_leaves_the_outcome_unknown(stage, client, others, verdict):
    expect_unknown(stage, client, verdict, "drop")


def a_facilitator_that_answers_no_receipt_leaves_the_outcome_unknown(stage, client, others, verdict):
    expect_unknown(stage, client, verdict, "garble")


def what_is_not_a_payment_is_refused_before_anything_runs(stage, client, others, verdict):
    since = stage.counting()
    challenge = stage.send(None)
    is_challenge = challenge.status == 402 and "payment-required" in challenge.headers
    verdict.holds(f"without a payment: {challenge}", is_challenge, "402 with the terms")
    for what, payment in {"no base64": "?", "no JSON": "e30", "a list": "W10=", "no id": "eyJ4NDAyVmVyc2lvbiI6Mn0="}.items():
        refused = stage.send(payment)
        verdict.holds(f"{what}: {refused}", refused.status == 400, "400")
    payment = stage.make(client, None)
    verdict.equal("all in all", since(), UNTOUCHED)
    generated = stage.send(payment)
    verdict.holds(f"an id that the SDK made up: {generated}", is_paid(generated), "200 with a receipt")


# The cases that must fail where nothing protects the payment; the others hold for any server that is sound.
NEED_PROTECTION = [
    a_retry_gets_the_stored_response_and_its_receipt,
    an_id_buys_one_thing,
    duplicates_at_the_same_time_are_settled_once,
    clients_that_pay_at_the_same_time_with_one_id_pay_once,
    a_payment_whose_server_is_killed_is_not_charged_again,
    a_pending_settlement_keeps_the_id,
    a_facilitator_that_dies_after_the_charge_leaves_the_outcome_unknown,
    a_facilitator_that_answers_no_receipt_leaves_the_outcome_unknown,
    what_is_not_a_payment_is_refused_before_anything_runs,
]
ALL = [*NEED_PROTECTION, a_refused_settlement_frees_the_id]


def play(case, stage, client, others, verdict):
    verdict.title(f"{case.__name__} ({client.name})")
    stage.facilitator_does(settle="answer", hold=False)
    case(stage, client, others, verdict)
