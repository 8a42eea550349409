"""What a process of Millrace does."""

from enum import StrEnum


class Role(StrEnum):
    """What a process does. On SQLite one does everything."""

    UP = "up"
    API = "api"
    SCHEDULER = "scheduler"
    WORKER = "worker"

    @property
    def serves_http(self) -> bool:
        return self in (Role.UP, Role.API)

    @property
    def schedules(self) -> bool:
        return self in (Role.UP, Role.SCHEDULER)

    @property
    def works(self) -> bool:
        return self in (Role.UP, Role.WORKER)
