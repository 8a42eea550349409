"""What is asked and told about secrets and connections. Nothing that is told has a field for a value."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from millrace.api.schemas.texts import NO_NUL
from millrace.api.schemas.users import UserRef
from millrace.app.secrets.scopes import Scope

SECRET_EXAMPLE: Final[dict[str, Any]] = {"value": "a value of at least 6 characters", "description": "of the shop"}
CONNECTION_EXAMPLE: Final[dict[str, Any]] = {
    "type": "postgresql",
    "description": "where reports read",
    "config": {"host": "db.internal", "database": "reports", "user": "reader", "password": "…", "tls": "verify-full"},
}

SCOPE_EXAMPLE: Final[dict[str, Any]] = {"workflows": ["orders"]}
ROLLBACK_EXAMPLE: Final[dict[str, Any]] = {"version": 2}

CONNECTION_TYPES: Final = "postgresql, mysql, mariadb, sqlite, smtp or http"


WORKFLOWS: Final = "Names of the workflows that may use it; null is for all. Stays as it is if not given."
HOSTS: Final = (
    "Hosts that it may be sent to, such as api.example.com, *.example.com or 10.0.0.7:8443; null is for all. Stays as "
    "it is if not given."
)


class SecretBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    value: str = Field(description="6 to 65536 characters.", json_schema_extra={"writeOnly": True})
    description: str | None = Field(
        default=None, max_length=2000, pattern=NO_NUL, description="Stays as it is if not given."
    )
    workflows: list[str] | None = Field(default=None, description=WORKFLOWS, examples=[["orders"]])
    hosts: list[str] | None = Field(default=None, description=HOSTS, examples=[["api.example.com"]])

    def scope(self) -> Scope:
        return Scope(frozenset(self.model_fields_set & {"workflows", "hosts"}), self.workflows, self.hosts)


class SecretScopeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    workflows: list[str] | None = Field(default=None, description=WORKFLOWS, examples=[["orders"]])
    hosts: list[str] | None = Field(
        default=None, description=f"{HOSTS} Others than it has now take its value.", examples=[["api.example.com"]]
    )

    def scope(self) -> Scope:
        return Scope(frozenset(self.model_fields_set), self.workflows, self.hosts)


class ConnectionScopeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    workflows: list[str] | None = Field(default=None, description=WORKFLOWS, examples=[["orders"]])

    def scope(self) -> Scope:
        return Scope(frozenset(self.model_fields_set), self.workflows)


class ConnectionBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    type: str = Field(description=f"{CONNECTION_TYPES}.", examples=["postgresql"])
    config: dict[str, Any] = Field(description="Depends on the type; `***` keeps a secret that is there already.")
    description: str | None = Field(
        default=None, max_length=2000, pattern=NO_NUL, description="Stays as it is if not given."
    )
    workflows: list[str] | None = Field(default=None, description=WORKFLOWS, examples=[["orders"]])

    def scope(self) -> Scope:
        return Scope(frozenset(self.model_fields_set & {"workflows"}), self.workflows)


class RollbackBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    version: int = Field(ge=1, le=2**31 - 1, description="One that is kept, and not the one that holds.")


class KeptVersion(BaseModel):
    version: int
    current: bool = Field(description="Whether it is the one that holds.")
    created_by: UserRef | None
    created_at: str


class KeptVersions(BaseModel):
    items: list[KeptVersion] = Field(description="The newest first, at most 10.")
    next_cursor: str | None


class UserOfIt(BaseModel):
    id: str
    name: str = Field(description="A workflow whose deployed version names it.")
    version: int


class SecretView(BaseModel):
    name: str
    description: str | None
    version: int = Field(description="Counts how often it was set.")
    workflows: list[str] | None = Field(description="Those that may use it; null: all.")
    hosts: list[str] | None = Field(description="Those that it may be sent to; null: all.")
    overridden_by: Literal["environment", "folder"] | None = Field(
        description="Where a value of the same name stands that wins over this one."
    )
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class SecretDetail(SecretView):
    used_by: list[UserOfIt]


class OutsideSecret(BaseModel):
    name: str
    source: Literal["environment", "folder"] = Field(description="Where its value is that holds.")


class OutsideSecretPage(BaseModel):
    items: list[OutsideSecret]
    next_cursor: str | None


class SecretPage(BaseModel):
    items: list[SecretView]
    next_cursor: str | None


class ConnectionView(BaseModel):
    name: str
    type: str
    description: str | None
    config: dict[str, Any] = Field(description="With *** in place of what is secret.")
    workflows: list[str] | None = Field(description="Those that may use it; null: all.")
    version: int
    created_by: UserRef | None
    updated_by: UserRef | None
    created_at: str
    updated_at: str


class ConnectionDetail(ConnectionView):
    used_by: list[UserOfIt]


class ConnectionPage(BaseModel):
    items: list[ConnectionView]
    next_cursor: str | None


class ConnectionTested(BaseModel):
    ok: bool
    message: str
    duration_ms: int


class Deleted(BaseModel):
    name: str
    used_by: list[UserOfIt] = Field(description="Deployed workflows that name it and will fail without it.")


class KeyRotated(BaseModel):
    key_id: str
    key_is_new: bool = Field(description="False: the key comes from a setting, and only the values were sealed anew.")
    resealed: int
    former_key_ids: list[str] = Field(description="Keys that only backups need now.")
