"""A real OpenID Connect provider (npm oidc-provider), and a browser's way through its login, for tests.

For tests marked `service("oidc")`. It is a process of its own that ends with this one, however that happens, since it
ends when its standard input does. Who there is it reads anew at each login: `people` may be changed at any time.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
from joserfc.jwk import RSAKey

from tests.conftest import service_url
from tests.support.server import free_port

PROGRAM = Path(__file__).with_name("oidc_provider.mjs")
CLIENT_ID, CLIENT_SECRET = "millrace-test", "a secret of the client & = %"
MOST_STEPS = 12
"""Redirects and forms between a click and the way back."""


class LoginProvider:
    def __init__(self, folder: Path, redirect_uris: Sequence[str]) -> None:
        self._folder = folder
        self.port = free_port()
        self.issuer = f"http://127.0.0.1:{self.port}"
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": [*redirect_uris]}
        self._write("clients.json", [{**client, "grant_types": ["authorization_code"], "response_types": ["code"]}])
        self._write("people.json", {})
        self._people: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """With a key that it never had before."""
        key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self._write("keys.json", {"keys": [key.as_dict(private=True)]})
        log = self._folder / "log"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                ["node", str(PROGRAM), service_url("oidc"), str(self._folder), str(self.port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip(), log.read_text()

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate(timeout=30)
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def knows(self, login: str, **claims: Any) -> None:
        """Somebody who can log in there, with these claims from now on."""
        self._people[login] = claims
        self._write("people.json", self._people)

    def _write(self, name: str, content: Any) -> None:
        place = self._folder / f".{name}"
        place.write_text(json.dumps(content))
        place.replace(self._folder / name)

    def settings(self, public_url: str, **more: str) -> dict[str, str]:
        """For a Millrace whose people log in here."""
        return {
            "MILLRACE_PUBLIC_URL": public_url,
            "MILLRACE_OIDC_ISSUER": self.issuer,
            "MILLRACE_OIDC_ALLOW_HTTP": "true",
            "MILLRACE_OIDC_CLIENT_ID": CLIENT_ID,
            "MILLRACE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "MILLRACE_OIDC_SCOPES": "openid email profile groups",
            "MILLRACE_OIDC_ROLES": "bosses=admin,builders=developer,watchers=viewer",
            "MILLRACE_OIDC_NAME": "Test provider",
            **more,
        }


@contextmanager
def login_provider(*redirect_uris: str) -> Iterator[LoginProvider]:
    with tempfile.TemporaryDirectory(prefix="millrace-oidc-") as folder:
        provider = LoginProvider(Path(folder), redirect_uris)
        provider.start()
        try:
            yield provider
        finally:
            provider.stop()


def way_back(url: str, login: str, browser: httpx2.Client | None = None) -> str:
    """The address at which the provider sends a browser back that began at `url` and logs in; it is not gone to.

    `browser`: one that has been at the provider before.
    """
    with httpx2.Client(trust_env=False) as fresh:
        return _gone_through(browser or fresh, url, login)


def refusal(url: str) -> str:
    """As `way_back`, of somebody who cancels at the form."""
    with httpx2.Client(trust_env=False) as browser:
        page = browser.get(url, follow_redirects=True)
        found = re.search(r'href="([^"]*/abort)"', page.text)
        assert found, page.text
        return _gone_through(browser, urljoin(str(page.url), unescape(found[1])), "")


def _gone_through(browser: httpx2.Client, url: str, login: str) -> str:
    provider = urlsplit(url).netloc
    response = browser.get(url)
    for _ in range(MOST_STEPS):
        if response.is_redirect:
            url = urljoin(str(response.url), response.headers["Location"])
            if urlsplit(url).netloc != provider:
                return url
            response = browser.get(url)
        else:
            action, fields = _form(response, login)
            response = browser.post(action, data=fields)
    raise AssertionError(f"no way back: {response.text}")


def _form(page: httpx2.Response, login: str) -> tuple[str, dict[str, str]]:
    """Where the form of the page is posted to, and what."""
    action = re.search(r'<form[^>]* action="([^"]+)"', page.text)
    prompt = re.search(r'name="prompt" value="(\w+)"', page.text)
    assert action, page.text
    assert prompt, page.text
    return urljoin(str(page.url), unescape(action[1])), {"prompt": prompt[1], "login": login, "password": "any"}
