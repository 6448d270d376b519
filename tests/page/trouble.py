"""What the page says when something is wrong."""

import base64

from scenes import SHOP, open_page, open_record

# An answer as it is, with changes: a store is not easily poisoned or damaged from outside.
ALTERED = """
const plain = window.fetch;
window.fetch = async (path, options) => {{
  const response = await plain(path, options);
  const answer = String(path).startsWith("{path}") && response.ok ? await response.clone().json() : null;
  return answer ? Response.json({{ ...answer, ...({changes})(answer) }}) : response;
}};
"""


def with_changes(browser, path, changes, look):
    """Looks at pages whose answers from `path` have changes, a function of the answer in the page's language."""
    stop = browser.before_each_page(ALTERED.format(path=path, changes=changes))
    try:
        return look()
    finally:
        stop()


def tells_of_a_poisoned_store_and_a_doubted_clock(browser, server):
    def told():
        open_page(browser, server)
        return browser.text("#banners")

    changes = "(stats) => ({ is_poisoned: true, clock_doubted_ms: 7200000, io: { ...stats.io, damaged_reads: 3 } })"
    banners = with_changes(browser, "v1/stats", changes, told)
    for words in ("The store is poisoned.", "leapt ahead by 2 h,", "3 reads did not verify"):
        assert words in banners, banners
    assert told().strip() == "", "and only then"


def tells_of_damaged_records(browser, server):
    def listed():
        open_page(browser, server)
        return browser.text("#list")

    changes = "() => ({ damaged: [null, { scope: 'a scope', key: 'a damaged key' }] })"
    rows = with_changes(browser, "v1/records", changes, listed)
    assert "a key that is damaged itself" in rows and "a damaged key" in rows and rows.count("does not verify") == 2, rows
    assert "damaged" not in listed()


def finds_a_record_by_its_name_however_many_there_are(browser, server):
    def found():
        open_page(browser, server)
        browser.type("#filters [name=scope]", SHOP)
        browser.type("#filters [name=key]", "paid_042")
        browser.wait("it is found", "document.querySelector('#list .key a')?.textContent === 'paid_042'")
        browser.click("#filters [value=failed]")
        browser.wait("conditions hold for it, too", "!document.querySelector('#empty').hidden")

    with_changes(browser, "v1/records", "() => ({ records: [] })", found)


def shows_what_can_be_read_of_bytes(browser, server):
    def shown():
        open_page(browser, server)
        open_record(browser, SHOP, "paid_000")
        browser.run("[...document.querySelectorAll('#detail button')].find((button) => button.textContent === 'Show payload').click()")
        browser.wait("the payload is shown", "document.querySelector('#detail pre') !== null")
        return browser.text("#detail pre"), browser.run("return document.querySelector('#detail details pre')?.textContent")

    bytes_of_proxy = b"\x01\x00server\x07{\"charge\":\"\xc3\xbc\"}\xff"
    base64_text = base64.b64encode(bytes_of_proxy).decode()
    changes = f"() => ({{ payload: null, payload_base64: '{base64_text}' }})"
    assert with_changes(browser, "v1/record?", changes, shown) == ('··server·{"charge":"ü"}·', base64_text)


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
