"""The route about the database as a file: a backup of it."""

from typing import Any

from fastapi import Response

from millrace.api.deps import Containers, api_router, requires
from millrace.api.files import download
from millrace.auth.permissions import Permission
from millrace.ports.artifacts import ANY_BYTES

router = api_router("system")

BYTES: dict[str, Any] = {ANY_BYTES: {"schema": {"type": "string", "format": "binary"}}}


@router.get("/db/backup", dependencies=[requires(Permission.DATABASE_BACKUP)], responses={200: {"content": BYTES}})
async def download_backup(container: Containers) -> Response:
    """The database as it is now: one file, checked, with its SHA-256 as `ETag`. Running work goes on.

    From SQLite it is a database, from PostgreSQL a dump in the custom format of `pg_dump`.

    It holds everything but the encryption key and the files of artifacts; keep it as safe as the database.
    """
    made = await container.backups.make()
    return download(made.name, made.size, made.sha256, made.parts, wanted=None, if_range=None)
