"""A login provider that answers whatever a test has it answer: what no real one does, or should not."""

import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

AnyKey = RSAKey | ECKey | OKPKey


class FalseProvider:
    """Document, keys and claims may be changed at any time. It takes any code, as often as it comes."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)
        self.keys = [self.key.as_dict(private=False)]
        self.document: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        self.given: dict[str, Any] = {}
        """What is answered for a code."""
        self.told: dict[str, Any] = {}
        """What is told of the user, besides."""
        self.status = 200
        self.asked: Counter[str] = Counter()
        self.forms: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def settings(self, public_url: str, **more: str) -> dict[str, str]:
        return {
            "MILLRACE_PUBLIC_URL": public_url,
            "MILLRACE_OIDC_ISSUER": self.issuer,
            "MILLRACE_OIDC_ALLOW_HTTP": "true",
            "MILLRACE_OIDC_CLIENT_ID": "millrace",
            "MILLRACE_OIDC_DEFAULT_ROLE": "viewer",
            **more,
        }

    def claims(self, nonce: str, /, **changed: Any) -> dict[str, Any]:
        """Those of a good token; a claim that is changed to `...` is left out."""
        now = int(time.time())
        good = {"iss": self.issuer, "aud": "millrace", "sub": "ada", "nonce": nonce, "iat": now, "exp": now + 300}
        return {name: value for name, value in {**good, **changed}.items() if value is not ...}

    def signed(
        self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None, key: AnyKey | None = None
    ) -> str:
        key = key or self.key
        full = {"alg": "RS256", "kid": self.key.kid, **(header or {})}
        full = {name: value for name, value in full.items() if value is not ...}
        return jws.serialize_compact(full, json.dumps(claims).encode(), key, algorithms=[full["alg"]])


def _handler(provider: FalseProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            pages = {"/keys": {"keys": provider.keys}, "/userinfo": provider.told}
            self._answer(path, pages.get(path, provider.document))

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            provider.forms.append({**form, "authorization": self.headers.get("Authorization", "")})
            self._answer("/token", provider.given)

        def _answer(self, path: str, content: Any) -> None:
            provider.asked[path] += 1
            raw = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(provider.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
