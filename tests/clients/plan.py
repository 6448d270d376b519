"""What both drivers do, and what has to come of it."""

SCOPE = "tenant-7/POST /payments"
# Attempts that others leave behind: one whose lease has lapsed, and one that is still held and lapses while the client waits.
HAPPENED = ["lost_after_the_charge", "held_and_lost"]
NOTHING_HAPPENED = ["lost_before_the_charge"]
# Longer than the clients let the server wait.
HELD_MS = 11_000


def judge(told):
    """Checks what a driver told."""
    assert told["storm"] == [{"receipt": 1}] * 8, told["storm"]
    assert told["again"] == {"receipt": 1}
    assert "another order" in told["mismatch"], told["mismatch"]
    for key in HAPPENED:
        assert told[key] == {"receipt": "found"}, told[key]
    for key in NOTHING_HAPPENED:
        assert told[key] == {"receipt": 2}, told[key]
    assert told["charges"] == ["storm", *NOTHING_HAPPENED], told["charges"]
    assert told["asked"] == [*HAPPENED, *NOTHING_HAPPENED], told["asked"]
    assert told["wrong"].startswith("begin: "), told["wrong"]
