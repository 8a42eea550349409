"""Whose the objects are. A copy of an installation may be pointed at the original's store, and knows only its own rows.

To it every newer object of the original is an orphan, and every older one its own. So who would delete an object looks
first whether the store belongs to the installation; the first that looks makes it its own. The copy can read, and write
what is new, and takes nothing away.
"""

import logging

from millrace.app.workers import repository
from millrace.ports.database import Database
from millrace.ports.objects import OWNER, ObjectStore

logger = logging.getLogger(__name__)

REMEDY = (
    "Give this one a place of its own in MILLRACE_ARTIFACTS_URL or MILLRACE_ARTIFACTS_DIR. If the other is gone for "
    f"good, or this place is a copy of its own, delete the file or object `{OWNER}` there: the next installation that "
    "looks makes the place its own"
)


async def may_delete(database: Database, objects: ObjectStore) -> bool:
    """Whether objects may be deleted by this installation; where not, the log says why."""
    own = await database.read(repository.installation_id)
    owner = await objects.claim(own)
    if owner != own:
        logger.warning("no object is deleted: %s. %s", _told(own, owner), REMEDY)
    return owner == own


async def conflict(database: Database, objects: ObjectStore) -> str | None:
    """What is wrong if the objects belong to another installation. Reading only."""
    own = await database.read(repository.installation_id)
    owner = await objects.owner()
    return None if owner is None or owner == own else _told(own, owner)


def _told(own: str, owner: str) -> str:
    return f"the store of artifacts belongs to another installation ({owner[:100]}) and not to this one ({own})"
