"""What a provider says of somebody, as far as it is used, and which role that gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from millrace.auth.permissions import Role

Claims: TypeAlias = Mapping[str, Any]
"""The claims of an ID token that was believed, or of the answer about its user."""

LONGEST: Final = 255
"""Characters of a subject, as the table of identities has them (OpenID Connect Core 1.0, section 2)."""
ADDRESS: Final = ("email", "email_verified")
HIGHEST_FIRST: Final = (Role.ADMIN, Role.DEVELOPER, Role.OPERATOR, Role.VIEWER)


@dataclass(frozen=True, slots=True)
class Person:
    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    names: tuple[str, ...]
    """What he could be called, the best first."""
    role: Role | None
    """What his groups give; `None`: nothing."""


@dataclass(frozen=True, slots=True)
class RoleRules:
    claim: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    default: Role | None = None

    @property
    def follow_groups(self) -> bool:
        """Whether the provider says which role somebody has; otherwise administrators of Millrace do."""
        return bool(self.roles)

    def role_of(self, claims: Claims) -> Role | None:
        """The highest of all groups."""
        found = {self.roles[group] for group in groups_in(claims, self.claim) if group in self.roles}
        return next((role for role in HIGHEST_FIRST if role in found), self.default)


def person_of(issuer: str, claims: Claims, rules: RoleRules) -> Person:
    names = (_text(claims, name) for name in ("name", "preferred_username", "email", "sub"))
    return Person(
        issuer=issuer,
        subject=str(claims["sub"]),
        email=_text(claims, "email"),
        # Some providers write it as a text; only one that says so without doubt is believed.
        email_verified=claims.get("email_verified") is True,
        names=tuple(name for name in names if name is not None),
        role=rules.role_of(claims),
    )


def completed(claims: Claims, told: Claims) -> Claims:
    """The claims of a token, with what is `told` of its user elsewhere where the token leaves it out.

    That an address is verified is said of the one that stands beside it, and of no other.
    """
    beside = {name: told.get(name) for name in ADDRESS}
    address = {name: claims.get(name) for name in ADDRESS}
    if claims.get("email") is None:
        address = beside
    elif address["email_verified"] is None and beside["email"] == address["email"]:
        address["email_verified"] = beside["email_verified"]
    return {**told, **claims, **address}


def groups_in(claims: Claims, claim: str) -> frozenset[str]:
    found = value_of(claims, claim)
    listed = found if isinstance(found, list) else [found]
    return frozenset(group for group in listed if isinstance(group, str))


def value_of(claims: Claims, claim: str) -> Any:
    """Of a claim of this very name, which may be an address with dots, or else within others by the dots; or `None`."""
    if claim in claims:
        return claims[claim]
    found: Any = claims
    for part in claim.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    return value.strip() if isinstance(value, str) and value.strip() else None
