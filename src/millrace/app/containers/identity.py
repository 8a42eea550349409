"""Who may use the installation: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.identity.accounts import Accounts
from millrace.app.identity.keys import ApiKeys
from millrace.app.identity.logging_in import LoggingIn
from millrace.app.identity.oidc import CALLBACK_PATH, Configured, OidcLogins
from millrace.app.identity.oidc_accounts import OidcAccounts
from millrace.app.identity.users import Users
from millrace.auth.authentication import Authenticator
from millrace.auth.limits.limits import RateLimits
from millrace.auth.logins.access_tokens import AccessTokens
from millrace.auth.logins.passwords import Passwords
from millrace.auth.logins.sessions import Sessions
from millrace.auth.logins.throttling import Throttle
from millrace.auth.oidc.claims import RoleRules
from millrace.auth.oidc.pending import PendingLogins
from millrace.auth.oidc.provider import Client, Provider
from millrace.auth.permissions import Role
from millrace.core.durations import parse_duration
from millrace.ports.clock import Clock


@dataclass(frozen=True, slots=True)
class IdentityUseCases:
    authenticator: Authenticator
    logging_in: LoggingIn
    accounts: Accounts
    users: Users
    keys: ApiKeys
    oidc: OidcLogins
    rate_limits: RateLimits


def build_identity_use_cases(a: Adapters, clock: Clock | None = None) -> IdentityUseCases:
    """`clock`: the time by which logins end and wait, if it is not the usual one."""
    settings, database, clock = a.settings, a.database, clock or a.clock
    tokens = AccessTokens(a.vault, parse_duration(settings.access_token_lifetime))
    sessions = Sessions(
        database,
        clock,
        a.ids,
        tokens,
        lifetime=parse_duration(settings.session_lifetime),
        idle=parse_duration(settings.session_idle),
    )
    passwords = Passwords()
    authenticator = Authenticator(database, clock, sessions)
    throttle = Throttle(database, clock)
    logging_in = LoggingIn(database, passwords, throttle, sessions)
    by = _provider(a, clock)
    return IdentityUseCases(
        authenticator=authenticator,
        logging_in=logging_in,
        accounts=Accounts(database, clock, passwords, logging_in, authenticator),
        users=Users(database, clock, a.ids, passwords, Role(settings.default_role)),
        keys=ApiKeys(database, clock, a.ids),
        oidc=OidcLogins(
            database,
            clock,
            PendingLogins(a.vault, clock),
            throttle,
            sessions,
            by,
            None if by is None else OidcAccounts(a.ids, by.rules),
        ),
        rate_limits=RateLimits(settings, a.clock.monotonic),
    )


def _provider(a: Adapters, clock: Clock) -> Configured | None:
    """The login provider of the settings."""
    settings, secret = a.settings, a.settings.oidc_client_secret
    issuer, client_id, public_url = settings.oidc_issuer, settings.oidc_client_id, settings.public_url
    if a.provider_http is None or issuer is None or client_id is None or public_url is None:
        return None
    rules = RoleRules(
        settings.oidc_groups_claim,
        {group: Role(role) for group, role in settings.oidc_roles.items()},
        None if settings.oidc_default_role is None else Role(settings.oidc_default_role),
    )
    client = Client(
        issuer,
        client_id,
        None if secret is None else secret.get_secret_value(),
        settings.oidc_scopes,
        f"{public_url}{CALLBACK_PATH}",
        settings.oidc_groups_claim if rules.follow_groups else None,
    )
    return Configured(settings.oidc_name, public_url, Provider(a.provider_http, clock, client), rules)
