"""Which object store an installation has, by its settings: a folder or a bucket."""

from typing import TYPE_CHECKING, TypeAlias

from millrace.artifacts.local import LocalObjects
from millrace.artifacts.s3_place import S3Place
from millrace.config import Settings

if TYPE_CHECKING:
    from millrace.artifacts.s3 import S3Objects

AnyObjects: TypeAlias = "LocalObjects | S3Objects"


def open_objects(settings: Settings) -> AnyObjects:
    """It touches nothing before it is used. Close it in the end."""
    place = place_of(settings)
    if place is None:
        return LocalObjects(settings.artifacts_dir)
    # Only who has a bucket waits for its library at the start, and has it in memory.
    from millrace.artifacts.s3 import S3Objects

    return S3Objects(place)


def place_of(settings: Settings) -> S3Place | None:
    """The bucket, if there is one."""
    key_id, secret, token = settings.s3_access_key_id, settings.s3_secret_access_key, settings.s3_session_token
    if settings.artifacts_url is None or key_id is None or secret is None:
        return None
    bucket, _, prefix = settings.artifacts_url.removeprefix("s3://").strip("/").partition("/")
    path_style = settings.s3_path_style
    return S3Place(
        bucket=bucket,
        prefix=prefix,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key_id=key_id,
        secret_access_key=secret.get_secret_value(),
        session_token=None if token is None else token.get_secret_value(),
        path_style=settings.s3_endpoint is not None if path_style is None else path_style,
        allow_http=settings.s3_allow_http,
    )
