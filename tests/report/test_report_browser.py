"""The report in headless Chromium: console, network, pictures, zoom and sorting by mouse and keys, widths, contrast."""
import re

import pytest
from browser import CHROMIUM, DRIVER, started
from report_runs import HOSTILE, write_frames, write_results, write_work_dir

from bafenet.evaluation.report import ROWS, WITHOUT_SIDES
from bafenet.report import write_report

pytestmark = [
    pytest.mark.faults,  # a browser takes seconds to start
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='Chromium and chromedriver are not installed '
                       '(apt-get install chromium chromium-driver)')]
# The least contrast of text by WCAG 2.2, level AA, and of large text.
CONTRAST, LARGE_CONTRAST = 4.5, 3.0
SIZES = [(1280, 900), (400, 800)]


@pytest.fixture(scope='module')
def report(tmp_path_factory):
    """Two runs with pictures, of names that would break a page which does not escape them."""
    root = tmp_path_factory.mktemp('runs')
    write_frames(root / 'SIRSTdevkit')
    full = write_work_dir(root / HOSTILE)
    write_results(full / 'results.json', root / 'SIRSTdevkit')
    long = write_work_dir(root / ('a_long_name_of_a_run_' * 6), depth=50)
    metrics = {f'densesirst/{key}' if key in WITHOUT_SIDES else f'densesirst/{key}_legacy': 0.123 for key in ROWS}
    write_results(long / 'results.json', root / 'SIRSTdevkit', metrics=metrics)
    out = root / 'report.html'
    write_report([str(full), str(long)], str(out))
    return out


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    with started(tmp_path_factory.mktemp('browser')) as found:
        yield found


@pytest.fixture(params=SIZES, ids=lambda size: f'{size[0]} px')
def page(request, browser, report):
    """The report in a window of each size."""
    return browser.open(report, *request.param)


def test_nothing_goes_wrong_and_nothing_is_fetched(browser, report):
    browser.console(), browser.requests()
    for scheme in ('light', 'dark'):
        browser.open(report, scheme=scheme)
        assert browser.run('return document.title') == 'BAFE-Net runs'
    assert browser.console() == []
    assert set(browser.requests()) == {report.resolve().as_uri()}


def test_the_policy_of_the_page_forbids_what_it_does_not_need(page):
    blocked = page.run('''
        const found = [];
        document.addEventListener('securitypolicyviolation', (event) => found.push(event.effectiveDirective));
        const picture = new Image();
        picture.src = 'http://127.0.0.1:9/a.png';
        document.body.append(picture);
        const script = document.createElement('script');
        script.textContent = 'window.injected = 1';
        document.body.append(script);
        return new Promise((done) => setTimeout(() => done([found.sort(), window.injected === undefined]), 300));''')
    assert blocked == [['img-src', 'script-src-elem'], True]


def test_every_picture_is_there(page):
    assert page.run('''
        const all = [...document.images].filter((image) => image.id !== 'zoom-picture');
        return [all.length > 10, all.filter((image) => !(image.complete && image.naturalWidth)).length]''') == [True, 0]


def test_the_page_is_never_scrolled_sideways(page):
    page.run('document.querySelectorAll("details").forEach((one) => { one.open = true; })')
    width, seen, wide = page.run('''
        const wide = [...document.querySelectorAll('main *, header *, nav *, footer *')].filter((one) =>
            !one.closest('.scroll') && !one.closest('pre') && one.getBoundingClientRect().right > innerWidth + 1);
        return [document.documentElement.scrollWidth, innerWidth, wide.map((one) => one.outerHTML.slice(0, 80))]''')
    assert width <= seen and not wide


# --- Zoom -------------------------------------------------------------------------------------------------------------

STATE = '''const dialog = document.getElementById('zoom'), picture = document.getElementById('zoom-picture');
           return [dialog.open, picture.naturalWidth > 0, document.getElementById('zoom-title').textContent]'''


def test_all_metrics_are_seen_at_once(browser, report):
    browser.open(report, 1280)
    widths = browser.run('''return [...document.querySelectorAll('#metrics .scroll')].map(
        (part) => [part.scrollWidth, part.clientWidth])''')
    assert len(widths) == 4 and all(whole <= seen for whole, seen in widths)
    browser.open(report, 400)
    heights = browser.run('''return [...document.querySelectorAll('#metrics thead')].map(
        (head) => head.offsetHeight)''')
    assert max(heights) < 120  # of headings, pixels


def test_a_picture_is_enlarged_by_mouse(page):
    name = page.run('return document.querySelector(".frame").dataset.title')
    page.click('.picture button')
    page.run('return document.getElementById("zoom-picture").decode()')
    assert page.run(STATE) == [True, True, name]
    before = page.run('return document.getElementById("zoom-picture").width')
    page.click('#zoom-scale')
    actual = page.run('''const picture = document.getElementById('zoom-picture');
                         return [picture.width === picture.naturalWidth, picture.height === picture.naturalHeight,
                                 document.getElementById('zoom-scale').getAttribute('aria-pressed')]''')
    assert actual == [True, True, 'true']
    page.click('#zoom-scale')
    assert page.run('return document.getElementById("zoom-picture").width') == before
    page.click('#zoom-close')
    assert page.run(STATE)[0] is False
    assert page.run('return document.activeElement === document.querySelector(".picture button")')


@pytest.mark.parametrize('end', ['Escape', 'Enter'])
def test_a_picture_is_enlarged_by_keys_and_the_focus_comes_back(page, end):
    page.run('document.querySelectorAll(".picture button")[1].focus()')
    page.press('Enter')
    assert page.run(STATE)[0] is True and page.focused() == 'zoom-close'
    # The focus stays in the dialog, or with the browser itself.
    for _ in range(5):
        page.press('Tab')
        assert page.run('return document.activeElement === document.body || '
                        'Boolean(document.activeElement.closest("#zoom"))')
    page.run('document.getElementById("zoom-close").focus()')
    page.press(end)
    assert page.run(STATE)[0] is False
    assert page.run('return document.activeElement === document.querySelectorAll(".picture button")[1]')


def test_the_focus_is_seen(page):
    page.press('Tab')
    assert page.focused() == 'Skip to the report'
    width, style, left = page.run('''const style = getComputedStyle(document.activeElement);
        return [style.outlineWidth, style.outlineStyle, document.activeElement.getBoundingClientRect().left]''')
    assert float(width.removesuffix('px')) >= 2 and style != 'none' and left >= 0


# --- Sorting ----------------------------------------------------------------------------------------------------------

COLUMN = '''const [name] = arguments, table = document.querySelector('table.sortable');
            const index = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent.trim() === name);
            return [...table.tBodies[0].rows].map((row) => row.cells[index].textContent.trim())'''
SORTED = '''return [...document.querySelectorAll('table.sortable th[aria-sort]')].map(
            (cell) => [cell.textContent.trim(), cell.getAttribute('aria-sort')])'''
FOCUS = '''const [name] = arguments;
           [...document.querySelectorAll('table.sortable thead button')].find(
               (button) => button.textContent.trim() === name).focus()'''


def test_the_table_is_sorted_by_keys_and_says_so(page):
    name = 'mAP_07 (IoU 0.5)'
    values = [float(text.split()[0]) for text in page.run(COLUMN, name)]
    page.run(FOCUS, name)
    for times, order, reverse in ((1, 'descending', True), (2, 'ascending', False)):
        page.press('Enter' if times == 1 else 'Space')
        assert [float(text.split()[0]) for text in page.run(COLUMN, name)] == sorted(values, reverse=reverse)
        assert page.run(SORTED) == [[name, order]]
        assert page.run('return document.getElementById("status").textContent') == f'Sorted by {name}, {order}.'
    page.run(FOCUS, 'best F1')
    for _ in range(2):
        page.press('Enter')
        empty = [text == '' for text in page.run(COLUMN, 'best F1')]
        assert any(empty) and empty == sorted(empty)  # rows without a value stay last


def test_the_table_is_sorted_by_mouse(page):
    names = page.run(COLUMN, 'Run')
    page.click('table.sortable thead button')
    assert page.run(COLUMN, 'Run') == page.run('return arguments[0].sort((a, b) => '
                                               'a.localeCompare(b, "en", {numeric: true}))', names)


# --- Colours ----------------------------------------------------------------------------------------------------------

TEXTS = '''
    document.querySelectorAll('details').forEach((one) => { one.open = true; });
    const back = (one) => {
      for (let node = one; node; node = node.parentElement) {
        const color = getComputedStyle(node).backgroundColor;
        if (!color.endsWith(', 0)') && color !== 'transparent') return color;
      }
      return 'rgb(255, 255, 255)';
    };
    const found = new Set();
    for (const one of document.querySelectorAll('body *')) {
      const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!own || ['SCRIPT', 'STYLE'].includes(one.tagName) || !one.getClientRects().length) continue;
      const style = getComputedStyle(one);
      found.add([one.tagName, style.color, back(one), style.fontSize].join('|'));
    }
    return [...found]'''


def luminance(color):
    """Relative luminance by WCAG."""
    channels = [int(number) / 255 for number in re.findall(r'\d+', color)[:3]]
    red, green, blue = (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055)**2.4 for value in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize('by_button', [False, True])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_has_contrast_in_light_and_dark(browser, report, scheme, by_button):
    system = scheme if not by_button else {'light': 'dark', 'dark': 'light'}[scheme]
    browser.open(report, scheme=system)
    browser.run('localStorage.clear(); delete document.documentElement.dataset.theme')
    if by_button:
        browser.click('#theme')
    page_is_dark = luminance(browser.run('return getComputedStyle(document.body).backgroundColor')) < 0.2
    assert page_is_dark == (scheme == 'dark')
    texts = browser.run(TEXTS)
    assert len(texts) > 10
    for tag, color, back, size in (text.split('|') for text in texts):
        low, high = sorted((luminance(color), luminance(back)))
        needed = LARGE_CONTRAST if float(size.removesuffix('px')) >= 24 else CONTRAST
        assert (high + 0.05) / (low + 0.05) >= needed, (tag, color, back)


def test_the_choice_of_colours_is_kept(browser, report):
    browser.open(report, scheme='light')
    browser.run('localStorage.clear()')
    browser.open(report, scheme='light')
    assert browser.run('return document.getElementById("theme").textContent') == 'Dark colours'
    browser.click('#theme')
    browser.open(report, scheme='light')
    assert browser.run('return document.documentElement.dataset.theme') == 'dark'
    browser.run('localStorage.clear()')


def test_all_is_read_without_scripts(browser, report):
    browser.command('Emulation.setScriptExecutionDisabled', value=True)
    try:
        browser.open(report)
        tree = browser.command('Accessibility.getFullAXTree')['nodes']
    finally:
        browser.command('Emulation.setScriptExecutionDisabled', value=False)
    seen = [(node['role']['value'], node.get('name', {}).get('value', '')) for node in tree if not node['ignored']]
    roles = [role for role, _ in seen]
    assert {'main', 'navigation', 'banner', 'contentinfo', 'table', 'columnheader', 'rowheader',
            'heading'} <= set(roles)
    assert sum(role == 'image' and len(name) > 20 for role, name in seen) > 10
    assert not [name for role, name in seen if role == 'button']  # none that would do nothing
