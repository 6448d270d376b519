"""What the page says when something is wrong."""

from scenes import SHOP, open_page

# The figures as they are, with changes: a store is not easily poisoned from outside.
ALTERED = """
const plain = window.fetch;
window.fetch = async (path, options) => {
  const response = await plain(path, options);
  if (!String(path).endsWith("v1/stats")) return response;
  const stats = await response.json();
  return Response.json({ ...stats, is_poisoned: true, clock_doubted_ms: 7200000, io: { ...stats.io, damaged_reads: 3 } });
};
"""


def tells_of_a_poisoned_store_and_a_doubted_clock(browser, server):
    stop = browser.before_each_page(ALTERED)
    try:
        open_page(browser, server)
        told = browser.text("#banners")
    finally:
        stop()
    for words in ("The store is poisoned.", "leapt ahead by 2 h,", "3 reads did not verify"):
        assert words in told, told
    open_page(browser, server)
    assert browser.text("#banners").strip() == "", "and only then"


def pauses_while_nobody_looks(browser, server):
    open_page(browser, server)
    hide = "Object.defineProperty(document, 'hidden', { configurable: true, value: arguments[0] }); document.dispatchEvent(new Event('visibilitychange'))"
    browser.run(hide, True)
    browser.wait("paused", "document.querySelector('#connection').textContent === 'Paused'")
    browser.run(hide, False)
    browser.wait("live again", "document.querySelector('#connection').textContent === 'Live'")


def tells_of_a_lost_connection_and_recovers(browser, start):
    with start() as server:
        server.begin(SHOP, "running", lease_ms=3_600_000)
        open_page(browser, server)
        assert "in flight" in browser.text("#list")
    browser.wait("lost", "document.querySelector('#connection').textContent.startsWith('Connection lost')")
    browser.click("#refresh")
    browser.wait("the list says so, too", "document.querySelector('#list-error').textContent.includes('cannot be reached')")
    with start(listen=server.url.removeprefix("http://")) as server:
        browser.wait("live again", "document.querySelector('#connection').textContent === 'Live'")
        browser.click("#refresh")
        browser.wait("unknown since the restart", "document.querySelector('#list .state')?.textContent === 'unknown'")
        assert "its process is gone" in browser.text("#list"), "its lease has not lapsed"
        assert browser.text("#list-error").strip() == ""


def asks_for_the_token_and_keeps_it_in_the_tab(browser, server):
    browser.open(f"{server.url}/")
    browser.wait("it asks", "document.querySelector('#token').open")
    browser.press("escape")
    browser.wait("it insists", "document.querySelector('#token').open")
    assert browser.run("return document.querySelector('#tiles').textContent") == "", "without a token there is no data"
    browser.type("#token [name=token]", "a guess")
    browser.press("enter")
    browser.wait("it says no", "document.querySelector('#token-error').textContent.includes('does not accept')")
    browser.type("#token [name=token]", server.token)
    browser.press("enter")
    browser.wait("it is in", "document.querySelector('#connection').textContent === 'Live'")
    browser.wait("with its records", "document.querySelector('#list').textContent.includes('paid')")
    open_page(browser, server)
    assert browser.run("return [document.querySelector('#token').open, localStorage.length]") == [False, 0]
    browser.click("#forget")
    browser.wait("it asks again", "document.querySelector('#token').open")
