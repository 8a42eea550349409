"""Logins by a provider as people have them: at the command line with a browser, and where two processes serve."""

import sys
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from millrace.auth.oidc.pending import challenge_of
from tests.support.documents import REPOSITORY
from tests.support.login_provider import LoginProvider, login_provider, way_back
from tests.support.logins import ADA
from tests.support.postgres import fresh_database
from tests.support.server import MillraceProcess, free_port
from tests.support.warm import nursery

pytestmark = pytest.mark.service("oidc")

KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
CALLBACK = "/api/v1/auth/oidc/callback"
BROWSER = f"""
import sys
sys.path.insert(0, {str(REPOSITORY)!r})
import httpx2
from tests.support.login_provider import refusal, way_back
with httpx2.Client(trust_env=False) as browser:
    address = browser.get(sys.argv[2]).headers["Location"]
    back = refusal(address) if sys.argv[1] == "nobody" else way_back(address, sys.argv[1])
    print(browser.get(browser.get(back).headers["Location"]).text, file=sys.stderr)
"""
"""Goes where it is sent and logs in, as the person whose name it is given."""


def known(provider: LoginProvider) -> None:
    provider.knows("ada", email=ADA, email_verified=True, name="Ada", groups=["builders"])


def test_the_command_line_logs_in_by_a_browser(tmp_path: Path) -> None:
    script = tmp_path / "browser.py"
    script.write_text(BROWSER)
    server = MillraceProcess(tmp_path / "home")
    with login_provider(server.url + CALLBACK) as provider:
        known(provider)
        server = server.with_settings(**provider.settings(server.url))
        with server:
            person = {**server.environment, "XDG_CONFIG_HOME": str(tmp_path), "MILLRACE_HOME": str(tmp_path / "none")}

            def millrace(*arguments: str, browser: str = "ada", status: int = 0, **more: str) -> str:
                command = f"{sys.executable} {script} {browser} %s"
                done = nursery().run(arguments, {**person, "BROWSER": command}, timeout=120, **more)
                assert done.returncode == status, (arguments, done.stdout, done.stderr)
                return str(done.stdout + done.stderr)

            here = ("--server", server.url)
            assert "logged in as Ada (developer)" in millrace("login", "--oidc", *here)
            assert "Ada (ada@example.com), developer, by a login" in millrace("whoami", *here)
            assert f"at the login provider you log out at {provider.issuer}" in millrace("logout", *here)
            refused = millrace("login", "--oidc", *here, browser="nobody", status=2)
            assert "the login provider did not let you in" in refused
            assert "belongs to it" in millrace("login", "--no-browser", *here, status=2)
            wrong = millrace("login", "--oidc", "--no-browser", *here, status=2, input="mro_nothing\n")
            assert f"{server.url}/api/v1/auth/oidc/login?challenge=" in wrong
            assert "this code cannot be used" in wrong


def test_a_server_without_a_provider_says_so(tmp_path: Path) -> None:
    with MillraceProcess(tmp_path / "home") as server:
        refused = server.millrace("login", "--oidc", check=False)
        assert (refused.returncode, "has no login provider" in refused.stderr) == (2, True)


@pytest.mark.service("postgres")
async def test_a_login_that_one_process_began_ends_at_another(tmp_path: Path) -> None:
    """The state is in the browser, the code of a program in the database."""
    async with fresh_database(clock=False) as url:
        first = MillraceProcess(tmp_path / "first", name="first")
        with login_provider(first.url + CALLBACK) as provider:
            known(provider)
            settings = {**provider.settings(first.url), "MILLRACE_DATABASE_URL": url, "MILLRACE_ENCRYPTION_KEY": KEY}
            first = first.with_settings(**settings)
            second = MillraceProcess(tmp_path / "second", name="second", **settings)
            with first, second, httpx2.Client(trust_env=False) as browser:
                begun = browser.get(f"{first.url}/api/v1/auth/oidc/login")
                back = way_back(begun.headers["Location"], "ada")
                ended = browser.get(back.replace(first.url, second.url))
                assert ended.status_code == 303, ended.text
                assert browser.get(f"{first.url}/api/v1/auth/me").json()["name"] == "Ada"
                query = urlencode({"challenge": challenge_of("v" * 43), "port": free_port()})
                begun = browser.get(f"{second.url}/api/v1/auth/oidc/login?{query}")
                ended = browser.get(way_back(begun.headers["Location"], "ada"))
                code = ended.headers["Location"].partition("code=")[2]
                body = {"code": code, "verifier": "v" * 43}
                assert browser.post(f"{second.url}/api/v1/auth/oidc/token", json=body).status_code == 200
                assert browser.post(f"{first.url}/api/v1/auth/oidc/token", json=body).status_code == 401
