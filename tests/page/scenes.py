"""What a person does on the page, and what must come of it. Each scene takes a browser and a filled server."""

import json

import looks

SHOP, EVIL = "tenant-7/POST /payments", "evil/<b>scope</b>"
EVIL_KEY = "<img src=x onerror=\"document.title='broken into'\">"
ROWS = "document.querySelectorAll('#list tbody tr').length"


def fill(server):
    for number in range(110):
        server.end(SHOP, f"paid_{number:03}")
    server.end(SHOP, "refused", verb="fail", payload={"error": "card declined"})
    server.end("tenant-8/POST /refunds", "elsewhere")
    server.end(EVIL, EVIL_KEY, payload={"html": "<script>document.title='broken into'</script>"})
    server.begin(SHOP, "running", lease_ms=3_600_000)
    for key in ("lost_by_mouse", "lost_by_keyboard", "lost_to_release"):
        server.lose(SHOP, key)
    server.lose(SHOP, "lost_after_checkpoint", checkpoint={"step": "charging", "reference": "ch_18f2"})


def open_page(browser, server):
    browser.open(f"{server.url}/")
    browser.wait("the figures are live", "document.querySelector('#connection').textContent === 'Live'")
    browser.wait("the records are read", "document.querySelector('#list-note').textContent !== ''")


def choose(browser, state):
    browser.click(f"#filters [value='{state}']")
    expected = {"unknown": "unknown", "in_flight": None, "completed": "completed", "failed": "failed"}[state]
    marks = "[...document.querySelectorAll('#list .state')].map((mark) => mark.textContent)"
    wanted = f"['in flight', 'unknown'].includes(mark)" if expected is None else f"mark === '{expected}'"
    browser.wait(f"only {state} is listed", f"{marks}.length > 0 && {marks}.every((mark) => {wanted})")


def open_record(browser, scope, key, title=None):
    browser.run("location.hash = '#record?' + new URLSearchParams({ scope: arguments[0], key: arguments[1] })", scope, key)
    browser.wait("the record is shown", "document.querySelector('#detail h3') !== null && document.querySelector('#detail').open")


def shows_figures_and_moves_under_load(browser, server, load):
    open_page(browser, server)
    tiles = browser.text("#tiles")
    assert "In flight\n5\n" in tiles and "Failed\n1\n" in tiles, tiles
    assert browser.text("#banners").strip() == "", "nothing is wrong"
    with load(server):
        browser.wait("begins are drawn", "parseFloat(document.querySelector('.chart .series-0 b').textContent) > 0")
        drawn = "[...document.querySelectorAll('.chart')].map((chart) => chart.querySelector('path').getAttribute('d'))"
        before = browser.run(f"return {drawn}")
        for chart in range(3):
            browser.wait(f"chart {chart} moves", f"{drawn}[{chart}].length > {len(before[chart])}")
        browser.wait("replays are hits", "document.querySelectorAll('.chart')[1].querySelector('b').textContent.startsWith('5')")
    assert "now begins" in browser.run("return document.querySelector('.chart svg').getAttribute('aria-label')")


def filters_and_pages(browser, server):
    open_page(browser, server)
    choose(browser, "failed")
    assert "refused" in browser.text("#list")
    choose(browser, "completed")
    browser.type("#filters [name=scope]", SHOP)
    answered = "performance.getEntriesByType('resource').some(({ name }) => name.includes('state=completed&scope=tenant-7'))"
    browser.wait("the scope is listed", f"{answered} && !document.querySelector('#list').hasAttribute('aria-busy')")
    assert browser.run(f"return {ROWS}") == 50
    seen = []
    for page in (1, 2, 3):
        browser.wait(f"page {page}", f"document.querySelector('#page-number').textContent === 'Page {page}'")
        seen += browser.run("return [...document.querySelectorAll('#list .key a')].map((link) => link.textContent)")
        if page < 3:
            browser.click("#next")
    assert sorted(seen) == [f"paid_{number:03}" for number in range(110)], "each record once"
    assert browser.run("return document.querySelector('#next').disabled")
    browser.click("#previous")
    browser.wait("back on page 2", "document.querySelector('#page-number').textContent === 'Page 2'")
    browser.type("#filters [name=key]", "paid_10")
    browser.wait("a part of the key", f"{ROWS} === 10")
    browser.type("#filters [name=key]", "paid_107")
    browser.wait("all of the key", f"{ROWS} === 1 && document.querySelector('#list .key a').textContent === 'paid_107'")
    browser.type("#filters [name=key]", "nobody")
    browser.wait("none", "!document.querySelector('#empty').hidden")
    choose_older = "const older = document.querySelector('[name=older]'); older.value = '86400000'; older.dispatchEvent(new Event('change', { bubbles: true }))"
    open_page(browser, server)
    browser.run(choose_older)
    browser.wait("nothing is a day old", "document.querySelector('#empty').textContent.includes('No record')")


def text_of_clients_stays_text(browser, server):
    open_page(browser, server)
    browser.type("#filters [name=key]", "<img")
    browser.wait("the key is listed", f"{ROWS} === 1")
    assert browser.text("#list .key a") == EVIL_KEY
    browser.click("#list .key a")
    browser.wait("the record is shown", "document.querySelector('#detail h3') !== null")
    browser.run("[...document.querySelectorAll('#detail button')].find((button) => button.textContent === 'Show payload').click()")
    browser.wait("the payload is shown", "document.querySelector('#detail pre')?.textContent.includes('<script>')")
    assert EVIL_KEY in browser.text("#detail h2") and EVIL in browser.text("#detail .scope")
    assert browser.run("return [document.images.length, document.scripts.length, document.title]") == [0, 1, "idemstore"]


def tells_a_record_by_its_timeline(browser, server):
    open_page(browser, server)
    open_record(browser, SHOP, "lost_after_checkpoint")
    titles = browser.run("return [...document.querySelectorAll('.timeline strong')].map((title) => title.textContent)")
    assert titles[:2] == ["First seen", "Checkpoint"] and titles[2].startswith("Lease lapse"), titles
    assert '"reference": "ch_18f2"' in browser.text("#detail pre")
    browser.press("escape")
    browser.wait("closed, and out of the address", "!document.querySelector('#detail').open && location.hash === ''")
    open_record(browser, SHOP, "paid_000")
    assert "Completed" in browser.text(".timeline") and "Expires" in browser.text(".timeline")
    assert "receipt" not in browser.text("#detail"), "a payload is shown only when asked for"
    browser.press("escape")
    open_record(browser, SHOP, "never used")
    assert "it is free" in browser.text("#detail")
    browser.press("escape")


def resolves_with_the_mouse(browser, server):
    open_page(browser, server)
    choose(browser, "unknown")
    browser.run("[...document.querySelectorAll('#list .key a')].find((link) => link.textContent === 'lost_by_mouse').closest('tr').children[3].click()")
    browser.click("#detail .primary")
    browser.click("#resolve [type=submit]")
    browser.wait("it asks for a choice", "document.querySelector('#resolve .field-error').textContent.startsWith('Choose')")
    browser.click("#resolve [value=completed]")
    browser.type("#resolve [name=payload]", '{"amount": 12.10, ')
    browser.click("#resolve [type=submit]")
    browser.wait("it checks the payload", "document.querySelector('#resolve .field-error').textContent.includes('not JSON')")
    payload = '{"amount": 12.10, "id": 12345678901234567890}'
    browser.type("#resolve [name=payload]", payload)
    browser.click("#resolve [type=submit]")
    browser.wait("it asks for a reason", "document.querySelector('#resolve .field-error').textContent.startsWith('Say why')")
    assert server.record(SHOP, "lost_by_mouse")[1]["state"] == "in_flight", "nothing happened yet"
    browser.type("#resolve [name=reason]", "the provider shows charge 7")
    browser.click("#resolve [type=submit]")
    browser.wait("it is told", "document.querySelector('#toast').textContent === 'Resolved as completed.'")
    assert browser.run("return document.querySelector('#toast').closest('dialog').id") == "detail", "above what is open"
    browser.wait("the detail is new", "document.querySelector('.timeline')?.textContent.includes('the provider shows charge 7')")
    assert server.record(SHOP, "lost_by_mouse")[1]["state"] == "completed"
    assert server.audit(SHOP, "lost_by_mouse") == [("completed", "the provider shows charge 7")]
    replayed = server.begin(SHOP, "lost_by_mouse")
    assert replayed["answer"] == "replay" and replayed["payload"] == json.loads(payload), replayed
    browser.run("[...document.querySelectorAll('#detail button')].find((button) => button.textContent === 'Show payload').click()")
    browser.wait("to the digit", "document.querySelector('#detail pre')?.textContent.includes('12.10,') && document.querySelector('#detail pre').textContent.includes('12345678901234567890')")


def resolves_with_the_keyboard_alone(browser, server):
    open_page(browser, server)

    def tab_to(what, condition):
        for _ in range(80):
            browser.press("tab")
            if browser.run(f"const at = document.activeElement; return {condition}"):
                outline = browser.run("return getComputedStyle(document.activeElement.matches('.segments input') ? document.activeElement.nextElementSibling : document.activeElement).outlineStyle")
                assert outline != "none", f"the focus on {what} is seen"
                return
        raise AssertionError(f"cannot be reached by Tab: {what}")

    tab_to("the skip link", "at.className === 'skip'")
    browser.press("enter")
    tab_to("the states", "at.name === 'state'")
    browser.press("down", "down")
    browser.wait("unknown is listed", "[...document.querySelectorAll('#list .key a')].some((link) => link.textContent === 'lost_by_keyboard')")
    tab_to("the record", "at.textContent === 'lost_by_keyboard'")
    browser.press("enter")
    browser.wait("the record is shown", "document.querySelector('#detail .primary') !== null")
    tab_to("resolve", "at.textContent === 'Resolve…'")
    browser.press("enter")
    browser.wait("the choices have the focus", "document.activeElement.name === 'outcome'")
    browser.press("down")
    browser.wait("failed is chosen", "document.querySelector('#resolve [value=failed]').checked")
    tab_to("the payload", "at.name === 'payload'")
    browser.press('{"error":"declined"}')
    tab_to("the reason", "at.name === 'reason'")
    browser.press("declined at the provider")
    tab_to("the button", "at.type === 'submit'")
    browser.press("enter")
    browser.wait("it is told", "document.querySelector('#toast').textContent === 'Resolved as failed.'")
    assert server.record(SHOP, "lost_by_keyboard", payload=True)[1]["payload"] == {"error": "declined"}
    assert server.audit(SHOP, "lost_by_keyboard") == [("failed", "declined at the provider")]
    browser.wait("the focus is in the record", "document.activeElement.id === 'detail-title'")
    browser.press("escape")
    browser.wait("closed", "!document.querySelector('#detail').open")


def releases_after_a_second_thought(browser, server):
    open_page(browser, server)
    open_record(browser, SHOP, "lost_to_release")
    browser.click("#detail .actions button:last-child")
    browser.type("#resolve [name=reason]", "no charge with this key")
    browser.click("#resolve [type=submit]")
    browser.wait("it asks again", "document.querySelector('#resolve .field-error').textContent.includes('may happen twice')")
    assert server.record(SHOP, "lost_to_release")[0] == 200, "nothing happened yet"
    browser.click("#resolve [name=sure]")
    browser.click("#resolve [type=submit]")
    browser.wait("it is told", "document.querySelector('#toast').textContent === 'The key is free again.'")
    assert server.record(SHOP, "lost_to_release")[0] == 404
    assert server.audit(SHOP, "lost_to_release") == [("released", "no charge with this key")]
    browser.wait("its history stays", "document.querySelector('#detail .timeline')?.textContent.includes('no charge with this key')")


def says_why_a_live_lease_cannot_be_resolved(browser, server):
    open_page(browser, server)
    open_record(browser, SHOP, "running")
    browser.click("#detail .primary")
    assert "live lease" in browser.text("#resolve .banner")
    browser.click("#resolve [value=failed]")
    browser.type("#resolve [name=reason]", "too early")
    browser.click("#resolve [type=submit]")
    browser.wait("the store's words", "document.querySelector('#resolve .field-error').textContent !== ''")
    assert browser.run("return document.querySelector('#resolve').open"), "what was entered is kept"
    assert server.record(SHOP, "running")[1]["state"] == "in_flight"
    assert server.audit(SHOP, "running") == []


def fits_a_phone(browser, server):
    browser.resize(360, 740)
    open_page(browser, server)
    assert browser.run(looks.CRAMPED) == []
    open_record(browser, SHOP, "lost_after_checkpoint")
    assert browser.run(looks.CRAMPED) == []
    browser.click("#detail .primary")
    browser.click("#resolve [value=completed]")
    assert browser.run(looks.CRAMPED) == []
    browser.run("document.querySelector('#resolve form').style.width = '500px'")
    assert browser.run(looks.CRAMPED) != [], "the check reports what is too wide"


def is_legible_and_named_in_light_and_dark(browser, server):
    backgrounds = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        open_page(browser, server)
        backgrounds.append(browser.run("return getComputedStyle(document.body).backgroundColor"))
        choose(browser, "unknown")
        assert browser.run(looks.LOW_CONTRAST) == []
        assert looks.nameless(browser) == []
        open_record(browser, SHOP, "lost_after_checkpoint")
        assert browser.run(looks.LOW_CONTRAST) == []
        browser.click("#detail .primary")
        browser.click("#resolve [value=released]")
        assert browser.run(looks.LOW_CONTRAST) == []
        assert looks.nameless(browser) == []
    assert backgrounds[0] != backgrounds[1], "dark is another"
    browser.run("document.querySelector('#resolve h2').style.color = getComputedStyle(document.querySelector('#resolve')).backgroundColor")
    assert browser.run(looks.LOW_CONTRAST) == ["How did this attempt end?: 1.00"], "the check reports what cannot be read"
    browser.run("document.querySelector('#resolve [type=submit]').textContent = ''")
    assert looks.nameless(browser) == ["button"], "the check reports what has no name"


def follows_the_wish_for_a_theme_and_for_rest(browser, server):
    background = "return getComputedStyle(document.body).backgroundColor"
    browser.prefer("dark")
    open_page(browser, server)
    dark = browser.run(background)
    browser.prefer("light", motion="reduce")
    open_page(browser, server)
    assert browser.run(background) != dark
    browser.click("#theme")
    browser.click("#theme")
    assert browser.run(background) == dark, "by the button, against the system"
    open_page(browser, server)
    assert browser.run(background) == dark, "and it is remembered"
    browser.click("#theme")
    open_record(browser, SHOP, "paid_000")
    assert browser.run("return getComputedStyle(document.querySelector('#detail')).animationName") == "none", "less motion"
