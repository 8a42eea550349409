"""The settings that say where the bucket is: what they come to, and what is refused with the name of the setting."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import obstore
import pytest

from millrace.app.archive import archiver
from millrace.artifacts.opening import place_of
from millrace.artifacts.s3_bucket import ANSWERED_WITHIN, MOST_PARTS, PART, Bucket
from millrace.artifacts.s3_place import S3Place
from millrace.artifacts.s3_uploads import signed
from millrace.auth import secrets
from millrace.config import SettingsError, checks, load_settings

BUCKET = "MILLRACE_ARTIFACTS_URL"
KEYS = {"MILLRACE_S3_ACCESS_KEY_ID": "AKIA1", "MILLRACE_S3_SECRET_ACCESS_KEY": "of-the-key"}


@pytest.fixture(autouse=True)
def _no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)


def placed(monkeypatch: pytest.MonkeyPatch, **names: str) -> S3Place | None:
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    return place_of(load_settings())


def test_without_a_bucket_the_folder_is_used_whatever_the_names_of_amazon_say(monkeypatch: pytest.MonkeyPatch) -> None:
    assert placed(monkeypatch, AWS_ACCESS_KEY_ID="AKIA1", AWS_ENDPOINT_URL="http://localstack:4566") is None


def test_a_bucket_of_amazon_needs_a_key_and_a_region(monkeypatch: pytest.MonkeyPatch) -> None:
    place = placed(monkeypatch, **KEYS, **{BUCKET: "s3://files", "MILLRACE_S3_REGION": "eu-central-1"})
    assert place == S3Place("files", "", None, "eu-central-1", "AKIA1", "of-the-key", path_style=False)
    assert place.address == "https://files.s3.eu-central-1.amazonaws.com"


def test_the_names_of_amazon_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    place = placed(
        monkeypatch,
        MILLRACE_ARTIFACTS_URL="s3://files/of/ours/",
        AWS_ACCESS_KEY_ID="AKIA2",
        AWS_SECRET_ACCESS_KEY="another",
        AWS_SESSION_TOKEN="for-an-hour",
        AWS_REGION="eu-west-1",
        AWS_ENDPOINT_URL="https://s3.internal:9000/",
    )
    assert place == S3Place(
        "files", "of/ours", "https://s3.internal:9000/", "eu-west-1", "AKIA2", "another", "for-an-hour"
    )
    assert place.address == "https://s3.internal:9000/files"
    assert place.name_of("runs/a") == "of/ours/runs/a"
    assert place.key_of("of/ours/runs/a") == "runs/a"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({BUCKET: "/srv/files"}, f"{BUCKET}: write s3://BUCKET"),
        ({BUCKET: "s3://A_B/x"}, f"{BUCKET}: write s3://BUCKET"),
        ({BUCKET: "s3://files/../x"}, f"{BUCKET}: write s3://BUCKET"),
        ({"MILLRACE_S3_SECRET_ACCESS_KEY": ""}, "MILLRACE_S3_SECRET_ACCESS_KEY: MILLRACE_ARTIFACTS_URL needs it"),
        ({"MILLRACE_S3_SECRET_ACCESS_KEY": "short"}, "MILLRACE_S3_SECRET_ACCESS_KEY: a secret shorter than 6"),
        ({"MILLRACE_S3_SESSION_TOKEN": "x"}, "MILLRACE_S3_SESSION_TOKEN: a secret shorter than 6"),
        ({"MILLRACE_S3_ACCESS_KEY_ID": ""}, "MILLRACE_S3_ACCESS_KEY_ID: MILLRACE_ARTIFACTS_URL needs it"),
        ({"MILLRACE_S3_ENDPOINT": "minio:9000"}, "MILLRACE_S3_ENDPOINT: write https://HOST"),
        ({"MILLRACE_S3_ENDPOINT": "https://minio/files"}, "MILLRACE_S3_ENDPOINT: write https://HOST"),
        ({"MILLRACE_S3_ENDPOINT": "https://me:of-the-key@minio"}, "MILLRACE_S3_ENDPOINT: write https://HOST"),
        ({"MILLRACE_S3_ENDPOINT": "http://minio"}, "MILLRACE_S3_ENDPOINT: http:// would send files in clear text"),
        ({"MILLRACE_S3_REGION": "somewhere else"}, "MILLRACE_S3_REGION: "),
    ],
)
def test_what_cannot_work_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        placed(monkeypatch, **{BUCKET: "s3://files", **KEYS, **settings})
    assert said in str(refused.value)
    assert "of-the-key" not in str(refused.value)


def test_nobody_is_shown_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    place = placed(monkeypatch, **KEYS, **{BUCKET: "s3://files", "MILLRACE_S3_SESSION_TOKEN": "for-an-hour"})
    settings = load_settings()
    shown = f"{place!r} {place} {settings!r} {settings.redacted()}"
    assert "AKIA1" in shown
    assert "of-the-key" not in shown
    assert "for-an-hour" not in shown


def test_http_is_allowed_when_somebody_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"MILLRACE_S3_ENDPOINT": "http://minio:9000", "MILLRACE_S3_ALLOW_HTTP": "true"}
    place = placed(monkeypatch, **KEYS, **more, **{BUCKET: "s3://files"})
    assert place is not None
    assert place.address == "http://minio:9000/files"


@pytest.mark.parametrize("path_style", [True, False])
@pytest.mark.parametrize("endpoint", [None, "https://s3.internal:9000"])
def test_both_ways_to_the_server_lead_to_the_same_address(endpoint: str | None, path_style: bool) -> None:
    place = S3Place("files", "ours", endpoint, "eu-west-1", "AKIA1", "of-the-key", path_style=path_style)
    host = "s3.internal:9000" if endpoint else "s3.eu-west-1.amazonaws.com"
    assert place.address == (f"https://{host}/files" if path_style else f"https://files.{host}")
    by_obstore = obstore.sign(Bucket(place, ANSWERED_WITHIN)._store, "GET", "ours/a", timedelta(minutes=1))
    assert by_obstore.startswith(f"{place.address}/ours/a?")


def test_an_archive_is_uploaded_in_small_parts() -> None:
    """An upload holds some of them in memory, and has so long for each."""
    assert archiver.LARGEST <= PART * MOST_PARTS


def test_no_secret_needs_to_be_longer_here_than_elsewhere() -> None:
    assert checks.SHORTEST == secrets.SHORTEST


def test_a_request_is_signed_as_in_the_example_of_amazon() -> None:
    place = S3Place(
        "examplebucket", "", None, "us-east-1", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    )
    at = datetime(2013, 5, 24, tzinfo=UTC)
    headers = signed(place, "GET", "examplebucket.s3.amazonaws.com", "/", "max-keys=2&prefix=J", at)
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
        "Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
    )
    for_an_hour = signed(replace(place, session_token="t"), "GET", "h", "/", "", at)
    assert for_an_hour["x-amz-security-token"] == "t"
    assert "x-amz-security-token" in for_an_hour["authorization"]
