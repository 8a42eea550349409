"""How artifacts are shown, and the reference by which tasks pass them on."""

from sqlalchemy.engine import RowMapping

from millrace.core.values import JsonObject, to_iso
from millrace.ports.objects import StoredObject


def reference(id_: str, name: str, media_type: str, size: int, sha256: str) -> JsonObject:
    return {"artifact": id_, "name": name, "media_type": media_type, "size": size, "sha256": sha256}


def artifact_view(row: RowMapping) -> JsonObject:
    expires_at = row["expires_at"]
    return {
        "id": row["id"],
        "name": row["name"],
        "media_type": row["media_type"],
        "size": row["size"],
        "sha256": row["sha256"],
        "run_id": row["run_id"],
        "task": row["path"],
        "attempt": row["attempt"],
        "created_by": row["created_by"],
        "created_at": to_iso(row["created_at"]),
        "expires_at": None if expires_at is None else to_iso(expires_at),
        "reference": reference(row["id"], row["name"], row["media_type"], row["size"], row["sha256"]),
    }


def stored_object(row: RowMapping) -> StoredObject:
    return StoredObject(row["object_key"], row["size"], row["sha256"])
