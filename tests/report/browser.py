"""Headless Chromium for tests, by chromedriver's plain HTTP: pages, scripts, keys, clicks, screenshots, its logs."""
import base64
import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
FLAGS = ('--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
         '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage')
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'
KEYS = dict(Enter='\ue007', Escape='\ue00c', Tab='\ue004', Space='\ue00d')
# No proxy of the environment stands between a test and its browser.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Browser:
    """One page of a headless Chromium."""

    def __init__(self, port: int, profile: Path) -> None:
        self._base = f'http://127.0.0.1:{port}'
        self._session = ''
        options = dict(binary=CHROMIUM, args=[*FLAGS, f'--user-data-dir={profile}'])
        capabilities = {'browserName': 'chrome', 'goog:chromeOptions': options,
                        'goog:loggingPrefs': dict(browser='ALL', performance='ALL')}
        answer = self._call('POST', '/session', dict(capabilities=dict(alwaysMatch=capabilities)))
        self._session = f'/session/{answer["sessionId"]}'
        self._call('POST', '/url', dict(url='about:blank'))
        self.console(), self.requests()  # those of the browser's own first page

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + self._session + path, data, method=method,
                                         headers={'Content-Type': 'application/json'})
        try:
            with OPENER.open(request, timeout=120) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(json.load(error)['value']['message']) from None

    def open(self, path, width=1280, height=900, scheme='light'):
        """Open a file in a window of a size, with the colours that the system prefers."""
        self.command('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                     mobile=False)
        self.command('Emulation.setEmulatedMedia', features=[
            dict(name='prefers-color-scheme', value=scheme), dict(name='prefers-reduced-motion', value='reduce')])
        self._call('POST', '/url', dict(url=Path(path).resolve().as_uri()))
        return self

    def command(self, name, **params):
        """A command of the DevTools protocol."""
        return self._call('POST', '/goog/cdp/execute', dict(cmd=name, params=params))

    def run(self, script, *arguments):
        """The value of a script's ``return``."""
        return self._call('POST', '/execute/sync', dict(script=script, args=list(arguments)))

    def click(self, selector):
        """Click the first element of a selector with the mouse."""
        element = self._call('POST', '/element', {'using': 'css selector', 'value': selector})[ELEMENT]
        self._call('POST', f'/element/{element}/click', {})

    def press(self, key, times=1):
        """Press and release a key, wherever the focus is."""
        strokes = [dict(type=kind, value=KEYS[key]) for _ in range(times) for kind in ('keyDown', 'keyUp')]
        self._call('POST', '/actions', dict(actions=[dict(type='key', id='keyboard', actions=strokes)]))

    def focused(self):
        """The id, or else the text or label, of the element that has the focus."""
        return self.run('const e = document.activeElement;'
                        'return e.id || e.getAttribute("aria-label") || e.textContent')

    def screenshot(self, path, whole=False):
        """Save what is seen, or the whole page, as a PNG."""
        options = dict(format='png', captureBeyondViewport=whole)
        if whole:
            size = self.run('const e = document.documentElement; return [e.scrollWidth, e.scrollHeight]')
            options['clip'] = dict(x=0, y=0, width=size[0], height=min(size[1], 16000), scale=1)
        Path(path).write_bytes(base64.b64decode(self.command('Page.captureScreenshot', **options)['data']))

    def console(self):
        """Messages of the console since the last call: errors and warnings."""
        return [entry['message'] for entry in self._call('POST', '/se/log', dict(type='browser'))
                if entry['level'] in ('SEVERE', 'WARNING')]

    def requests(self):
        """Addresses that were asked for since the last call, without those that hold their data themselves."""
        events = [json.loads(entry['message'])['message']
                  for entry in self._call('POST', '/se/log', dict(type='performance'))]
        urls = [event['params']['request']['url'] for event in events
                if event['method'] == 'Network.requestWillBeSent']
        return [url for url in urls if not url.startswith('data:')]

    def quit(self):
        """End the browser."""
        self._call('DELETE', '')


@contextmanager
def started(folder: Path):
    """A browser with an empty profile below a folder; it ends with the block."""
    process = subprocess.Popen([DRIVER, '--port=0'], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                               env={**os.environ, 'HOME': str(folder), 'TMPDIR': str(folder)})
    try:
        port = next(int(found[1]) for line in process.stdout
                    if (found := re.search(r'started successfully on port (\d+)', line)))
        end = time.monotonic() + 60
        while True:
            try:
                browser = Browser(port, folder / 'profile')
                break
            except (OSError, RuntimeError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)
        try:
            yield browser
        finally:
            browser.quit()
    finally:
        process.terminate()
        process.wait()
