"""What is asked of settings that are addresses, time zones or lifetimes, and of those that need others.

A fault says what to write, and never what was written.
"""

import re
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import available_timezones

from pydantic import SecretStr, ValidationInfo

T = TypeVar("T")

SHORTEST = 6
"""As `auth.secrets` demands of every other secret."""

BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_][A-Za-z0-9_.~-]{0,127}){0,8}/?", re.ASCII)

LIFETIME = re.compile(r"([1-9]\d{0,5})([mhd])", re.ASCII)
MINUTES = {"m": 1, "h": 60, "d": 1_440}
LONGEST_LIFETIMES = {"access_token_lifetime": 1_440}
"""Minutes; those of logins have a year."""


def checked_lifetime(text: str, info: ValidationInfo) -> str:
    """Of a login or its token: at least a minute."""
    longest = LONGEST_LIFETIMES.get(str(info.field_name), 366 * 1_440)
    found = LIFETIME.fullmatch(text)
    if found is None or int(found[1]) * MINUTES[found[2]] > longest:
        raise ValueError(f"write how long, such as 15m, 12h or 30d; from 1m to {longest // 1_440}d")
    return text


def checked_bucket(url: str | None) -> str | None:
    if url is not None and not BUCKET.fullmatch(url):
        raise ValueError("write s3://BUCKET or s3://BUCKET/PREFIX; a folder goes into MILLRACE_ARTIFACTS_DIR")
    return url


def checked_endpoint(url: str | None, info: ValidationInfo) -> str | None:
    """AWS_* names may be meant for tasks alone, so they matter only with a bucket."""
    if url is None or info.data.get("artifacts_url") is None:
        return url
    parts = urlsplit(url)
    try:
        plain = parts.port != 0 and not (parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        plain = False
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write https://HOST or https://HOST:PORT; the bucket goes into MILLRACE_ARTIFACTS_URL")
    if parts.scheme == "http" and not info.data.get("s3_allow_http"):
        raise ValueError("http:// would send files in clear text; use https://, or set MILLRACE_S3_ALLOW_HTTP=true")
    return url


def checked_public_url(url: str | None) -> str | None:
    if url is None:
        return None
    parts = urlsplit(url)
    try:
        plain = parts.port != 0 and not (parts.query or parts.fragment or "@" in parts.netloc)
    except ValueError:
        plain = False
    if not plain or parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise ValueError("write https://HOST, https://HOST:PORT or https://HOST/PREFIX")
    return url.rstrip("/")


def checked_zone(name: str) -> str:
    # Nearly all say UTC, and to read which zones there are takes longer than all other settings together.
    if name != "UTC" and (name not in available_timezones() or name in ("localtime", "posixrules", "Factory")):
        raise ValueError("there is no such time zone; write an IANA name such as Europe/Berlin or UTC")
    return name


def needed_for_bucket(value: T, info: ValidationInfo) -> T:
    if value is None and info.data.get("artifacts_url") is not None:
        raise ValueError("MILLRACE_ARTIFACTS_URL needs it; it says who may use the bucket")
    return value


def mailed(on: bool, info: ValidationInfo) -> bool:
    """Test mode without a way to send mail would only keep runs from starting."""
    if on:
        for field in ("smtp_host", "smtp_from"):
            if info.data.get(field) is None:
                raise ValueError(f"test mode sends mail; set MILLRACE_{field.upper()}, too")
    return on


def needed_for_test_mode(recipient: str | None, info: ValidationInfo) -> str | None:
    if recipient is None and info.data.get("test_mode"):
        raise ValueError("MILLRACE_TEST_MODE needs it; it says who is told of triggers that fire")
    return recipient


def maskable_for_bucket(value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    """The AWS_* names may be set to anything where there is no bucket."""
    if value is not None and len(value.get_secret_value()) < SHORTEST and info.data.get("artifacts_url") is not None:
        raise ValueError(f"a secret shorter than {SHORTEST} characters could not be kept out of logs")
    return value


def without_password(url: str) -> str:
    """The URL with its password, if it has one, replaced by `***`."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    netloc = re.sub(r":[^@]*@", ":***@", parts.netloc)
    return urlunsplit(parts._replace(netloc=netloc))


def checked_postgres(url: str) -> str:
    parts = urlsplit(url)
    try:
        named = bool(parts.path.strip("/")) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE; the database must be there already")
    return url
