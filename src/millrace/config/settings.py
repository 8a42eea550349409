"""All settings in one frozen object: what is general among them, with the groups that have modules of their own."""

import re
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    SecretStr,
    field_validator,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from millrace.config.checks import (
    checked_bucket,
    checked_endpoint,
    checked_lifetime,
    checked_postgres,
    checked_public_url,
    checked_zone,
    mailed,
    maskable_for_bucket,
    needed_for_bucket,
    needed_for_test_mode,
    without_password,
)
from millrace.config.http import HttpSettings
from millrace.config.oidc import OidcSettings, public_url_for_issuer
from millrace.config.shell import ShellSettings
from millrace.config.types import Folders, Listed, absolute
from millrace.core.values import JsonObject

PREFIX = "MILLRACE_"

SQLITE = "sqlite:///"
POSTGRES = frozenset({"postgresql", "postgres"})

PERIOD = re.compile(r"never|[1-9]\d{0,3}d|[1-9]\d{0,5}[smh]", re.ASCII)
"""How long something is kept. More than 27 years is a slip of the pen; that is what `never` is for."""

Limits: TypeAlias = Annotated[dict[str, Annotated[int, Field(ge=1, le=100_000)]], NoDecode]
PublicUrl: TypeAlias = Annotated[str | None, AfterValidator(checked_public_url), AfterValidator(public_url_for_issuer)]


class Settings(ShellSettings, OidcSettings, HttpSettings):
    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(
        default=Path("~/.millrace"),
        validate_default=True,
        description="Folder of this installation: database, first API key, note of the running server.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address the API listens on. Anything but loopback lets other machines connect, and needs "
        "MILLRACE_TLS_CERT, MILLRACE_TRUSTED_PROXIES or MILLRACE_ALLOW_INSECURE_PUBLIC.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    public_url: PublicUrl = Field(
        default=None,
        validate_default=True,
        description="Address at which others reach this installation, as in https://millrace.example.com: what links "
        "begin with. Without it, the address that whoever asks for a link has used.",
    )
    database_url: str = Field(
        default_factory=lambda data: f"{SQLITE}{data['home'] / 'millrace.db'}",
        validation_alias=AliasChoices("MILLRACE_DATABASE_URL", "DATABASE_URL"),
        description="Where the data is: sqlite:///PATH, for one process, or "
        "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, for any number of them. "
        "The default is millrace.db in the home folder.",
    )
    sqlite_synchronous: Literal["full", "normal", "off"] = Field(
        default="full",
        description="full: a commit survives a power cut. normal: the last commits may be lost with the power, so work "
        "that was acknowledged may be forgotten or repeated. off: the database may be damaged by it.",
    )
    http_allowed_targets: Listed = Field(
        default=(),
        description="Private networks and hosts that tasks may reach by HTTP or as databases, comma-separated: "
        "127.0.0.1, 10.0.0.0/8, db.internal. Public addresses need no entry.",
    )
    sqlite_allowed_dirs: Folders = Field(
        default_factory=lambda data: (data["home"], Path.cwd(), Path(tempfile.gettempdir())),
        description="Folders in which database tasks may open SQLite files, comma-separated. "
        "The default is the home folder, the working directory and the temporary directory.",
    )
    worker_slots: int = Field(default=256, ge=1, le=10_000, description="Task attempts that run at the same time.")
    worker_queues: Listed = Field(
        default=("*",), description="Queues whose tasks this process runs, comma-separated; `*` is every queue."
    )
    worker_lease_seconds: int = Field(
        default=15,
        ge=5,
        le=3600,
        description="How long after its last sign of life a worker is taken for lost, so that others take over what it "
        "ran. Shorter is sooner; longer bears longer breaks of the network and of the database. The same for all "
        "processes.",
    )
    task_limits: Limits = Field(
        default_factory=dict,
        description="Task attempts of a type that run at the same time, for example `shell=4,database=8`.",
    )
    agent_health_seconds: int = Field(
        default=60, ge=0, le=86_400, description="Seconds between checks of agents; 0: none."
    )
    agent_circuit_failures: int = Field(default=5, ge=1, le=1_000, description="Failures in a row that open a circuit.")
    agent_circuit_seconds: int = Field(default=30, ge=1, le=86_400, description="How long an open circuit stays so.")
    smtp_host: str | None = Field(
        default=None,
        description="Mail server for e-mail tasks that name no connection. It may be on a private network.",
    )
    smtp_port: int | None = Field(
        default=None, ge=1, le=65535, description="Its port; the default is 587 with starttls, 465 with tls, else 25."
    )
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection to it is secured; none is for a server on this machine or a network you trust.",
    )
    smtp_user: str | None = Field(default=None, description="User to sign in as; without one nobody signs in.")
    smtp_password: SecretStr | None = Field(default=None, description="Password of that user.")
    smtp_from: str | None = Field(
        default=None,
        description="Sender of mail that names none: ops@example.com or Millrace <ops@example.com>.",
    )
    test_mode: Annotated[bool, AfterValidator(mailed)] = Field(
        default=False,
        validation_alias=AliasChoices("MILLRACE_TEST_MODE", "TESTING_MODE"),
        description="Whether a trigger that fires sends an e-mail, and no run starts. It needs a recipient and a mail "
        "server. The same for all processes; a workflow may be said to be otherwise.",
    )
    test_mode_recipient: Annotated[str | None, AfterValidator(needed_for_test_mode)] = Field(
        default=None,
        validate_default=True,
        validation_alias=AliasChoices("MILLRACE_TEST_MODE_RECIPIENT", "TESTING_EMAIL_RECIPIENT"),
        description="Address that mail of test mode goes to.",
    )
    test_mode_skip_execution: bool = Field(
        default=True,
        validation_alias=AliasChoices("MILLRACE_TEST_MODE_SKIP_EXECUTION", "SKIP_WORKFLOW_EXECUTION"),
        description="Whether no run starts in test mode; with false the mail is sent and the run starts. It says "
        "nothing while test mode is off.",
    )
    access_token_lifetime: Annotated[str, AfterValidator(checked_lifetime)] = Field(
        default="15m",
        description="How long an access token holds; who has one gets the next by the refresh token. 1m to 1d.",
    )
    session_lifetime: Annotated[str, AfterValidator(checked_lifetime)] = Field(
        default="30d", description="How long after a login one has to log in again in any case."
    )
    session_idle: Annotated[str, AfterValidator(checked_lifetime)] = Field(
        default="7d", description="How long a login holds that is not used."
    )
    default_role: Literal["developer", "operator", "viewer"] = Field(
        default="viewer", description="Role of a new user for whom none is said."
    )
    encryption_key: SecretStr | None = Field(
        default=None,
        description="Key that secrets in the database are encrypted with: 32 bytes as base64. Without it the first "
        "start makes one in the file encryption-key of the home folder. Who loses it loses the secrets.",
    )
    encryption_key_file: Path | None = Field(
        default=None, description="File with that key instead: one key a line, the current one first."
    )
    encryption_keys_old: SecretStr | None = Field(
        default=None,
        description="Keys that some values may still be encrypted with after a change of the key, comma-separated.",
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="Folder with one file per secret, the file's name being the secret's. "
        "MILLRACE_SECRET_<NAME> defines one in the environment and wins.",
    )
    retention_payloads: str = Field(
        default="30d",
        description="How long after the end of a run what its tasks took and answered is kept, and its logs: such as "
        "12h or 30d, or never to delete them. The definition of a workflow may say otherwise. Of several processes all "
        "must have the same settings of retention: schedulers delete by theirs.",
    )
    retention_runs: str = Field(
        default="90d",
        description="How long after its end a run is kept, with its tasks, history and firings; or never to delete it. "
        "The definition of a workflow may say otherwise.",
    )
    retention_artifacts: str = Field(
        default="30d",
        description="How long a file that a task wrote is kept: such as 12h or 30d, or never to delete it before its "
        "run. Files that users send say for themselves.",
    )
    retention_archive: bool = Field(
        default=False,
        description="Whether runs are written to the archive, which lies with the artifacts, before they are deleted. "
        "The definition of a workflow may say otherwise.",
    )
    retention_archives: str = Field(
        default="never",
        description="How long an archive is kept after it was written: such as 3650d, or never to delete any.",
    )
    audit_days: int = Field(
        default=365,
        ge=0,
        le=36_500,
        description="Days for which the audit log is kept; 0 keeps it for ever.",
    )
    artifacts_dir: Path = Field(
        default_factory=lambda data: data["home"] / "artifacts",
        description="Folder of the files that tasks write and users send, and of inputs and outputs too large for the "
        "database. A backup needs it together with the database.",
    )
    artifacts_url: Annotated[str | None, AfterValidator(checked_bucket)] = Field(
        default=None,
        description="A bucket of S3 instead of that folder, s3://BUCKET or s3://BUCKET/PREFIX: for several machines. "
        "What lies below the prefix is Millrace's alone. The MILLRACE_S3_* settings say how to reach it.",
    )
    s3_allow_http: bool = Field(
        default=False,
        description="Whether MILLRACE_S3_ENDPOINT may be http://, without encryption: for a network that you trust.",
    )
    s3_endpoint: Annotated[str | None, AfterValidator(checked_endpoint)] = Field(
        default=None,
        validation_alias=AliasChoices("MILLRACE_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        description="Address of the S3 server, as in https://minio.internal:9000; without it Amazon's of the region.",
    )
    s3_region: str = Field(
        default="us-east-1",
        pattern=r"^[A-Za-z0-9-]+$",
        validation_alias=AliasChoices("MILLRACE_S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
        description="Region of the bucket.",
    )
    s3_path_style: bool | None = Field(
        default=None,
        description="Whether an object's address begins with ENDPOINT/BUCKET and not with the bucket as a host name. "
        "The default is true with MILLRACE_S3_ENDPOINT, false for Amazon.",
    )
    s3_access_key_id: Annotated[str | None, AfterValidator(needed_for_bucket)] = Field(
        default=None,
        validate_default=True,
        validation_alias=AliasChoices("MILLRACE_S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        description="Id of the access key for the bucket.",
    )
    s3_secret_access_key: Annotated[
        SecretStr | None, AfterValidator(needed_for_bucket), AfterValidator(maskable_for_bucket)
    ] = Field(
        default=None,
        validate_default=True,
        validation_alias=AliasChoices("MILLRACE_S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"),
        description="The secret of that key.",
    )
    s3_session_token: Annotated[SecretStr | None, AfterValidator(maskable_for_bucket)] = Field(
        default=None,
        validation_alias=AliasChoices("MILLRACE_S3_SESSION_TOKEN", "AWS_SESSION_TOKEN"),
        description="Token of that key, if it is one for a time.",
    )
    max_artifact_bytes: int = Field(
        default=1_073_741_824,
        ge=1024,
        le=1_099_511_627_776,
        description="Largest file that a task may write or a user may send, in bytes.",
    )
    max_output_bytes: int = Field(
        default=4_194_304,
        ge=1024,
        le=67_108_864,
        description="Largest output of a task, in bytes of JSON; what is larger belongs into a file or a database.",
    )
    max_row_bytes: int = Field(
        default=65_536,
        ge=1024,
        le=67_108_864,
        description="Inputs, outputs and trigger data with more bytes of JSON than this lie with the artifacts instead "
        "of in the database. Nobody sees a difference.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias=AliasChoices("MILLRACE_LOG_LEVEL", "LOG_LEVEL"),
        description="The least severe of Millrace's own log lines that is written.",
    )
    max_body_bytes: int = Field(
        default=1_048_576, ge=1024, le=1_073_741_824, description="Largest request body the API takes, in bytes."
    )
    stop_seconds: int = Field(
        default=10, ge=0, le=3600, description="How long running tasks may go on after a request to stop."
    )
    scheduler_timezone: str = Field(
        default="UTC",
        validation_alias=AliasChoices("MILLRACE_SCHEDULER_TIMEZONE", "SCHEDULER_TIMEZONE"),
        description="The time zone of schedules that name none: an IANA name such as Europe/Berlin.",
    )
    apply_examples: bool = Field(default=True, description="Whether the first start creates the example workflows.")
    examples_dir: Path | None = Field(
        default=None, description="Folder of the example workflows; without it those that come with Millrace."
    )

    @field_validator("task_limits", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [part.partition("=") for part in value.split(",") if part.strip()]
        if not all(name.strip() and sign for name, sign, _ in pairs):
            raise ValueError("write TYPE=NUMBER, with commas between several, for example shell=4,database=8")
        return {name.strip(): number.strip() for name, _, number in pairs}

    @field_validator("log_level", "sqlite_synchronous", "smtp_tls", "default_role", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("retention_payloads", "retention_runs", "retention_artifacts", "retention_archives")
    @classmethod
    def _period(cls, text: str) -> str:
        if not PERIOD.fullmatch(text):
            raise ValueError("write how long, such as 12h, 30d or 400d, or never")
        return text

    @field_validator("home", "secrets_dir", "examples_dir", "artifacts_dir", "encryption_key_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return absolute(path)

    @field_validator("scheduler_timezone")
    @classmethod
    def _known_timezone(cls, name: str) -> str:
        return checked_zone(name)

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        scheme = url.partition(":")[0]
        if scheme in POSTGRES:
            return checked_postgres(url)
        if not url.startswith(SQLITE) or url == SQLITE or ":memory:" in url or "?" in url:
            raise ValueError(
                "write sqlite:///PATH, for example sqlite:////var/lib/millrace/millrace.db, "
                "or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            )
        return url

    @property
    def on_postgres(self) -> bool:
        return self.database_url.partition(":")[0] in POSTGRES

    @property
    def database_path(self) -> Path | None:
        """The SQLite file; `None` on a server."""
        if self.on_postgres:
            return None
        return Path(self.database_url.removeprefix(SQLITE)).expanduser().absolute()

    @property
    def artifacts_place(self) -> str:
        """Where artifacts are, for people."""
        return self.artifacts_url or str(self.artifacts_dir)

    @property
    def loopback_only(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def redacted(self) -> JsonObject:
        """All settings as JSON for people; nothing in it is secret."""
        shown: JsonObject = self.model_dump(mode="json")
        shown["database_url"] = without_password(self.database_url)
        return shown

    def __repr_args__(self) -> Any:
        return self.redacted().items()
