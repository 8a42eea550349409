"""Which bucket of which S3 server, with which key; and what its errors mean, in words that name the setting to mend."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from millrace.ports.objects import ObjectStoreUnavailable

BUCKET = "MILLRACE_ARTIFACTS_URL"
ENDPOINT = "MILLRACE_S3_ENDPOINT"
KEY_ID = "MILLRACE_S3_ACCESS_KEY_ID"
SECRET = "MILLRACE_S3_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a setting
TOKEN = "MILLRACE_S3_SESSION_TOKEN"  # noqa: S105 - the same

REMEDIES = {
    "NoSuchBucket": f"there is no such bucket; make it, or name another in {BUCKET}",
    "InvalidBucketName": f"no bucket can have this name; mend {BUCKET}",
    "PermanentRedirect": "the bucket is in another region; mend MILLRACE_S3_REGION",
    "AuthorizationHeaderMalformed": "the region is another; mend MILLRACE_S3_REGION",
    "SignatureDoesNotMatch": f"the secret key is wrong; mend {SECRET}",
    "InvalidAccessKeyId": f"the access key is unknown; mend {KEY_ID}",
    "AccessDenied": f"access is denied; give the key of {KEY_ID} the rights that it needs",
    "ExpiredToken": f"the session has expired; renew {TOKEN} and its key",
    "InvalidToken": f"the session is not valid; renew {TOKEN} and its key",
    "RequestTimeTooSkewed": "the clock of this machine is wrong; set it",
}

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3}[A-Za-z ]*)")
_DETAILS = "\n\nDebug source"
"""What obstore appends to its errors, for programmers."""


class S3Unreachable(ObjectStoreUnavailable):
    """There was no answer at all."""


@dataclass(frozen=True, slots=True)
class S3Place:
    bucket: str
    prefix: str
    """Keys begin with it and a slash, unless it is empty."""
    endpoint: str | None
    """`None` for the one of Amazon in that region."""
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    path_style: bool = True
    """Whether the bucket stands in the path of an address, or else in front of the host's name."""
    allow_http: bool = False

    @property
    def server(self) -> str:
        return (self.endpoint or f"https://s3.{self.region}.amazonaws.com").rstrip("/")

    @property
    def address(self) -> str:
        """Of the bucket."""
        if self.path_style:
            return f"{self.server}/{self.bucket}"
        parts = urlsplit(self.server)
        return parts._replace(netloc=f"{self.bucket}.{parts.netloc}").geturl()

    def __str__(self) -> str:
        return f"the bucket {self.bucket} at {self.server}"

    def name_of(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def key_of(self, name: str) -> str:
        return name.removeprefix(f"{self.prefix}/") if self.prefix else name

    def fault(self, text: str) -> ObjectStoreUnavailable:
        """The error for people: what obstore or the server said, without what only a programmer wants to know."""
        code, status = code_of(text), _STATUS.search(text)
        if code in REMEDIES:
            return ObjectStoreUnavailable(f"{self} cannot be used: {REMEDIES[code]}")
        if code is not None or status is not None:
            said = code or (status[1].strip() if status else "")
            return ObjectStoreUnavailable(f"{self} cannot be used: the server answers {said}")
        reason = text.partition(_DETAILS)[0].rpartition(" - ")[2].strip().splitlines()
        return self.unreachable(reason[0] if reason else "no answer")

    def unreachable(self, reason: str) -> S3Unreachable:
        return S3Unreachable(f"{self} cannot be reached: {reason}; see that the server runs, or mend {ENDPOINT}")


def code_of(text: str) -> str | None:
    """What the server calls the error, if it said so."""
    found = _CODE.search(text)
    return found[1] if found else None
