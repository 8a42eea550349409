"""What a webhook's config says about who may call it. Secrets are named and never written: `{{ secrets.NAME }}`."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, ValidationInfo, field_validator, model_validator

from millrace.core.durations import parse_duration
from millrace.core.values import SECOND
from millrace.triggers.configs import Config
from millrace.triggers.faults import told
from millrace.triggers.webhook.fields import (
    HeaderName,
    SecretReference,
    SignaturePrefix,
    Tolerance,
    UserName,
    secret_name,
)
from millrace.triggers.webhook.signatures import PRESETS, Algorithm, Encoding, Preset, Scheme

TokenAlgorithm: TypeAlias = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"
]
SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})

PEM = "-----BEGIN PUBLIC KEY-----"
LONGEST_KEY = 10_000


class NoAuthentication(Config):
    type: Literal["none"] = Field(description="Whoever knows the path may call.")

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset()

    @property
    def credential_headers(self) -> frozenset[str]:
        return frozenset()


class ApiKeyAuthentication(Config):
    type: Literal["api_key"] = Field(description="A key in a header.")
    header: HeaderName = Field(default="X-API-Key", description="The header that has the key.")
    value: SecretReference = Field(description="The key: {{ secrets.NAME }}.")

    @property
    def secrets(self) -> frozenset[str]:
        return names_in(self.value)

    @property
    def credential_headers(self) -> frozenset[str]:
        return frozenset({self.header.lower()})


class BasicAuthentication(Config):
    type: Literal["basic"] = Field(description="User name and password.")
    username: UserName = Field(description="The user's name.")
    password: SecretReference = Field(description="The password: {{ secrets.NAME }}.")

    @property
    def secrets(self) -> frozenset[str]:
        return names_in(self.password)

    @property
    def credential_headers(self) -> frozenset[str]:
        return frozenset({"authorization"})


class HmacAuthentication(Config):
    """A signature over the body as it was sent."""

    type: Literal["hmac"] = Field(description="A signature of the body, by a secret that both sides know.")
    preset: Preset = Field(default="generic", description="Whose signatures these are: what is signed, and how.")
    secret: SecretReference = Field(description="What it is signed with: {{ secrets.NAME }}.")
    header: HeaderName | None = Field(default=None, description="Generic: the header with the signature; X-Signature.")
    timestamp_header: HeaderName | None = Field(
        default=None,
        description="Generic: the header with the time, as seconds since 1970; the text `TIME.BODY` is signed then.",
    )
    algorithm: Algorithm | None = Field(default=None, description="Generic: the hash function; sha256.")
    encoding: Encoding | None = Field(default=None, description="Generic: how the signature is written; hex.")
    prefix: SignaturePrefix | None = Field(default=None, description="Generic: what stands before the signature.")
    tolerance: Tolerance | None = Field(
        default=None, description="How far the time of a request may be from now, in both directions; 5m."
    )

    @field_validator("header", "timestamp_header", "algorithm", "encoding", "prefix")
    @classmethod
    def _of_generic(cls, value: str | None, info: ValidationInfo) -> str | None:
        preset = info.data.get("preset", "generic")
        if value is not None and preset != "generic":
            raise told("preset", f"the preset {preset} says this already", "leave it out, or write preset: generic")
        return value

    @field_validator("tolerance")
    @classmethod
    def _of_a_time(cls, value: str | None, info: ValidationInfo) -> str | None:
        preset = info.data.get("preset", "generic")
        if value is not None and not (PRESETS[preset].dated or info.data.get("timestamp_header")):
            remedy = "name the timestamp_header" if preset == "generic" else "leave it out"
            raise told("preset", "what is signed has no time that could be compared", remedy)
        return value

    @property
    def scheme(self) -> Scheme:
        return PRESETS[self.preset].adjusted(
            header=self.header,
            timestamp_header=self.timestamp_header,
            algorithm=self.algorithm,
            encoding=self.encoding,
            prefix=self.prefix,
        )

    @property
    def tolerance_seconds(self) -> int:
        return -(-parse_duration(self.tolerance or "5m") // SECOND)

    @property
    def secrets(self) -> frozenset[str]:
        return names_in(self.secret)

    @property
    def credential_headers(self) -> frozenset[str]:
        scheme = self.scheme
        return frozenset(header.lower() for header in (scheme.header, scheme.timestamp_header) if header is not None)


class JwtAuthentication(Config):
    """A token of RFC 7519, as `Authorization: Bearer TOKEN`. It must say when it expires."""

    type: Literal["jwt"] = Field(description="A signed token that says who calls, for whom, and until when.")
    algorithms: list[TokenAlgorithm] = Field(
        min_length=1, max_length=5, description="The algorithms that are taken: those of a secret, or those of a key."
    )
    secret: SecretReference | None = Field(default=None, description="For HS256 and the like: {{ secrets.NAME }}.")
    public_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_KEY,
        description="For all others: the public key as PEM, or {{ secrets.NAME }}.",
    )
    issuer: str | None = Field(default=None, min_length=1, max_length=500, description="The `iss` it must have.")
    audience: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="One of its `aud`; without this, a token that is for somebody named is refused.",
    )
    leeway: Tolerance = Field(default="30s", description="How far clocks may differ.")

    @field_validator("public_key")
    @classmethod
    def _is_public(cls, text: str | None) -> str | None:
        if text is None or secret_name(text) is not None or text.strip().startswith(PEM):
            return text
        raise told("public_key", "this is no public key", f"write the PEM, which begins with {PEM}")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """A public key taken for the secret of an HMAC would let everybody sign who knows it."""
        symmetric = SYMMETRIC.issuperset(self.algorithms)
        if not symmetric and not SYMMETRIC.isdisjoint(self.algorithms):
            remedy = "write those with HS and a secret, or the others and a public_key"
            raise told("algorithms", "algorithms of a secret and of a key cannot be taken together", remedy)
        wanted, other = ("secret", "public_key") if symmetric else ("public_key", "secret")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            reason = f"{', '.join(self.algorithms)} needs a {wanted} and no {other}"
            raise told("algorithms", reason, f"give {wanted} and leave out {other}")
        return self

    @property
    def key(self) -> str:
        return self.secret or self.public_key or ""

    @property
    def leeway_seconds(self) -> int:
        return -(-parse_duration(self.leeway) // SECOND)

    @property
    def secrets(self) -> frozenset[str]:
        return names_in(self.key)

    @property
    def credential_headers(self) -> frozenset[str]:
        return frozenset({"authorization"})


Authentication: TypeAlias = Annotated[
    NoAuthentication | ApiKeyAuthentication | BasicAuthentication | HmacAuthentication | JwtAuthentication,
    Field(discriminator="type"),
]


def names_in(*references: str) -> frozenset[str]:
    """The secrets that some texts refer to."""
    return frozenset(name for name in map(secret_name, references) if name is not None)
