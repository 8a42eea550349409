"""What the `config` of a trigger of type webhook takes."""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from millrace.core.durations import parse_duration
from millrace.core.values import SECOND, Duration
from millrace.triggers.configs import Config
from millrace.triggers.faults import told
from millrace.triggers.webhook.authentication import Authentication, HmacAuthentication, NoAuthentication
from millrace.triggers.webhook.fields import BodyPath, HeaderName, HeaderValue, Wait
from millrace.triggers.webhook.paths import WebhookPath

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

USUAL_BODY = 1_048_576
LARGEST_BODY = 10 * USUAL_BODY
MOST_HEADERS = 20

KEY_LIFETIME: Duration = 7 * 86_400 * SECOND
"""How long a delivery is known again by what `dedupe` names."""
UNDATED_LIFETIME: Duration = 30 * 86_400 * SECOND
"""How long a signature that holds for ever is known again."""


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _once(methods: list[Method]) -> list[Method]:
    return list(dict.fromkeys(methods))


MethodWord: TypeAlias = Annotated[Method, BeforeValidator(_upper)]
Methods: TypeAlias = Annotated[list[MethodWord], Field(min_length=1, max_length=10), AfterValidator(_once)]


class Dedupe(Config):
    """One of the two."""

    header: HeaderName | None = Field(default=None, description="The header by which deliveries are told apart.")
    body: BodyPath | None = Field(
        default=None,
        description="What in the body tells deliveries apart, with dots between the keys.",
        examples=["event.id"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.header is None) == (self.body is None):
            raise told("dedupe", "it takes a header or something in the body", "write {header: NAME} or {body: a.b}")
        return self


class WebhookOptions(Config):
    """What all webhooks have, however they are made."""

    authentication: Authentication | None = Field(
        default=None, description="Who may call. Without it, everybody who knows the path."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=MOST_HEADERS,
        description="Headers that a request must have, with their values.",
    )
    event_type: str | None = Field(
        default=None, min_length=1, max_length=255, description="What its requests are about: `trigger.event_type`."
    )
    respond: Literal["immediately", "output"] = Field(
        default="immediately", description="Answer at once with the id of the run, or with the output of the run."
    )
    wait: Wait = Field(
        default="30s", description="With `respond: output`: answer with the id of a run that has not finished by then."
    )
    max_body: int = Field(default=USUAL_BODY, ge=1, le=LARGEST_BODY, description="Bytes that a body may have.")
    dedupe: Dedupe | None = Field(
        default=None, description="By what a delivery is known again within 7 days: it starts no second run then."
    )
    raw: bool = Field(default=False, description="Keep the text of the body as it was sent: `trigger.raw`.")

    @field_validator("headers")
    @classmethod
    def _told_apart(cls, headers: dict[str, str]) -> dict[str, str]:
        names = [name.lower() for name in headers]
        twice = next((name for name in headers if names.count(name.lower()) > 1), None)
        if twice is not None:
            raise told("header", f"the header {twice} is named twice, in other letters", "name it once")
        return headers

    @field_validator("dedupe")
    @classmethod
    def _signed(cls, dedupe: Dedupe | None, fields: ValidationInfo) -> Dedupe | None:
        refuse_forgeable(fields.data.get("authentication"), dedupe)
        return dedupe


class WebhookConfig(WebhookOptions):
    auth: Authentication | None = Field(default=None, description="A shorter name of `authentication`.")
    path: WebhookPath | None = Field(
        default=None,
        description="What stands behind /webhook/ in the address. Without it a path that nobody can guess is made.",
    )
    methods: Methods = Field(default=["POST"], description="The methods that are taken. A GET is sent by any link.")

    @field_validator("auth")
    @classmethod
    def _one_name(cls, auth: Authentication | None, fields: ValidationInfo) -> Authentication | None:
        if auth is not None and fields.data.get("authentication") is not None:
            raise told("value", "auth and authentication are the same", "write one of them")
        refuse_forgeable(auth, fields.data.get("dedupe"))
        return auth

    @classmethod
    def secret_fields(cls) -> frozenset[str]:
        """Meets `ports.trigger.NamesSecrets`."""
        names = ("value", "password", "secret", "public_key")
        return frozenset(f"{field}.{name}" for field in ("authentication", "auth") for name in names)

    @property
    def authenticates(self) -> Authentication:
        return self.authentication or self.auth or NoAuthentication(type="none")

    @property
    def wait_seconds(self) -> float | None:
        """How long the caller waits for the output; `None` if he is answered at once."""
        return parse_duration(self.wait) / SECOND if self.respond == "output" else None

    @property
    def replay_lifetime(self) -> Duration:
        """How long a signed request is known again: longer than its time is taken for near."""
        wanted = self.authenticates
        if isinstance(wanted, HmacAuthentication) and wanted.scheme.dated:
            return max(2 * wanted.tolerance_seconds * SECOND, 86_400 * SECOND)
        return UNDATED_LIFETIME


def refuse_forgeable(authentication: object, dedupe: Dedupe | None) -> None:
    """Whoever has seen a signed request can send it again with another header."""
    if isinstance(authentication, HmacAuthentication) and dedupe is not None and dedupe.header is not None:
        remedy = "leave dedupe out, for a signature starts one run anyway, or name something in the body"
        raise told("dedupe", "the signature does not cover headers, so this one can be forged", remedy)
