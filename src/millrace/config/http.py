"""The settings of the HTTP surface: who is believed, how it is encrypted, and how much of it one may use."""

from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, AliasChoices, Field
from pydantic_settings import BaseSettings

from millrace.config.http_checks import (
    checked_hosts,
    checked_networks,
    checked_origins,
    checked_rate,
    with_certificate,
)
from millrace.config.types import Listed, absolute

RateText: TypeAlias = Annotated[str, AfterValidator(checked_rate)]


class HttpSettings(BaseSettings):
    tls_cert: Annotated[Path | None, AfterValidator(absolute)] = Field(
        default=None,
        description="File with the certificate, and those between it and its authority, as PEM: with it the API speaks "
        "HTTPS. It is read again at SIGHUP.",
    )
    tls_key: Annotated[Path | None, AfterValidator(with_certificate)] = Field(
        default=None, validate_default=True, description="File with the key of that certificate, as PEM, unencrypted."
    )
    trusted_proxies: Annotated[Listed, AfterValidator(checked_networks)] = Field(
        default=(),
        description="Addresses and networks of the proxies in front, comma-separated. What they say in Forwarded or "
        "X-Forwarded-For and -Proto is believed; of all others it is ignored.",
    )
    allow_insecure_public: bool = Field(
        default=False,
        description="Whether the API may listen where other machines reach it without TLS and without a trusted proxy: "
        "passwords and keys then travel in clear text.",
    )
    allowed_hosts: Annotated[Listed, AfterValidator(checked_hosts)] = Field(
        default=(),
        description="Names by which browsers may call the API, comma-separated, besides that of MILLRACE_PUBLIC_URL, "
        "localhost and addresses; *.example.com is every name below.",
    )
    cors_origins: Annotated[Listed, AfterValidator(checked_origins)] = Field(
        default=(),
        validation_alias=AliasChoices("MILLRACE_CORS_ORIGINS", "CORS_ORIGINS"),
        description="Origins whose pages may call the API with a key or an access token, comma-separated, such as "
        "https://app.example.com; * is all. Never with cookies.",
    )
    rate_limit_key: RateText = Field(
        default="off",
        description="Requests of one API key or login: such as 50/s, 3000/min or 100000/h, or off. So many may come "
        "at once; from then on they come at this rate.",
    )
    rate_limit_user: RateText = Field(default="off", description="Requests of one user, by whatever credentials.")
    rate_limit_address: RateText = Field(
        default="off",
        description="Requests from one address, whoever makes them; of IPv6 from one network of 64 bits.",
    )
    rate_limit_anonymous: RateText = Field(
        default="300/min",
        description="Requests from one address without valid credentials, refused ones too; of each webhook, those "
        "with wrong ones. Health does not count.",
    )
    head_timeout: int = Field(
        default=10, ge=1, le=3_600, description="Seconds within which a client must have sent the head of a request."
    )
    stall_timeout: int = Field(
        default=60,
        ge=1,
        le=3_600,
        description="Seconds within which a client must send another KiB of a body under way or take one of an answer.",
    )
    max_connections: int = Field(
        default=4_096,
        ge=2,
        le=100_000,
        description="Connections that are open at the same time; from one address half of them at most, unless it is "
        "that of a trusted proxy.",
    )
