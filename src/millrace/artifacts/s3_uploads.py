"""Uploads in parts that began and never ended, which is what a crash leaves behind. Calls here block.

The server keeps their parts, and bills them, until somebody says that they are not wanted. obstore cannot ask for them,
so these two requests are made and signed here (AWS Signature Version 4, for requests without a body).
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

import httpx2

from millrace.artifacts.s3_place import S3Place
from millrace.core.values import Instant

LISTED_AT_ONCE = 1000
ANSWERED_WITHIN = 20.0
CANNOT_LIST = frozenset({405, 501})
"""Some servers do not know the question; there a rule of the bucket has to do it."""
GONE = frozenset({204, 404})

NO_BODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Begun:
    name: str
    upload_id: str
    at: Instant


class Unfinished:
    def __init__(self, place: S3Place) -> None:
        self._place = place
        self._client = httpx2.Client(timeout=ANSWERED_WITHIN)

    def close(self) -> None:
        self._client.close()

    def forget(self, before: Instant) -> int:
        """Have the server throw away the parts of uploads that began before then; answers of how many."""
        forgotten = 0
        for one in self._begun():
            if one.at < before:
                reply = self._ask("DELETE", f"/{quote(one.name)}", {"uploadId": one.upload_id})
                if reply.status_code not in GONE:
                    raise self._fault(reply)
                forgotten += 1
        return forgotten

    def _begun(self) -> Iterator[Begun]:
        asked = {"uploads": "", "max-uploads": str(LISTED_AT_ONCE)}
        if self._place.prefix:
            asked["prefix"] = f"{self._place.prefix}/"
        more = True
        while more:
            reply = self._ask("GET", "", asked)
            if reply.status_code in CANNOT_LIST:
                return
            if reply.status_code != 200:
                raise self._fault(reply)
            page = ElementTree.fromstring(reply.content)  # noqa: S314 - from the server that keeps our objects
            for upload in page.iterfind("{*}Upload"):
                began = datetime.fromisoformat(_text(upload, "Initiated"))
                yield Begun(_text(upload, "Key"), _text(upload, "UploadId"), int(began.timestamp() * 1_000_000))
            more = _text(page, "IsTruncated") == "true"
            asked |= {
                "key-marker": _text(page, "NextKeyMarker"),
                "upload-id-marker": _text(page, "NextUploadIdMarker"),
            }

    def _ask(self, method: str, path: str, query: dict[str, str]) -> httpx2.Response:
        address = urlsplit(self._place.address + path)
        asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query.items()))
        headers = signed(self._place, method, address.netloc, address.path or "/", asked, datetime.now(UTC))
        try:
            return self._client.request(method, address._replace(query=asked).geturl(), headers=headers)
        except httpx2.HTTPError as error:
            raise self._place.unreachable(str(error) or type(error).__name__) from None

    def _fault(self, reply: httpx2.Response) -> Exception:
        return self._place.fault(f"{reply.text} status code: {reply.status_code} {reply.reason_phrase}")


def signed(place: S3Place, method: str, host: str, path: str, query: str, now: datetime) -> dict[str, str]:
    """The headers of a request without a body. `path` and `query` are encoded, the query's names are in order."""
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    scope = f"{now:%Y%m%d}/{place.region}/s3/aws4_request"
    headers = {"host": host, "x-amz-content-sha256": NO_BODY, "x-amz-date": stamp}
    if place.session_token:
        headers["x-amz-security-token"] = place.session_token
    lines = "".join(f"{name}:{value}\n" for name, value in sorted(headers.items()))
    names = ";".join(sorted(headers))
    request = "\n".join((method, path, query, lines, names, NO_BODY))
    text = "\n".join(("AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{place.secret_access_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{place.access_key_id}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(f"{{*}}{name}") or ""
