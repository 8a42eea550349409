"""Who may use the installation: a part of the container, put together by itself."""

from dataclasses import dataclass

from millrace.app.adapters import Adapters
from millrace.app.identity.accounts import Accounts
from millrace.app.identity.keys import ApiKeys
from millrace.app.identity.logging_in import LoggingIn
from millrace.app.identity.users import Users
from millrace.auth.authentication import Authenticator
from millrace.auth.logins.access_tokens import AccessTokens
from millrace.auth.logins.passwords import Passwords
from millrace.auth.logins.sessions import Sessions
from millrace.auth.logins.throttling import Throttle
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
    logging_in = LoggingIn(database, passwords, Throttle(database, clock), sessions)
    return IdentityUseCases(
        authenticator=authenticator,
        logging_in=logging_in,
        accounts=Accounts(database, clock, passwords, logging_in, authenticator),
        users=Users(database, clock, a.ids, passwords, Role(settings.default_role)),
        keys=ApiKeys(database, clock, a.ids),
    )
