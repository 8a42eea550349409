"""A request to a webhook: find its trigger, verify who sent it, start a run of it, once.

    find      one indexed read of what holds now, so that every change of a trigger takes effect with its commit
    verify    over the body as it was sent, before anything of it is read; what cannot be verified is refused
    tell      what the run sees of the request: never a credential, and nothing without a bound
    start     by `Firer`: run, key, firing and counts are one commit, which holds only while the trigger is as read

Whoever asks at a path where nothing is, at one that is silent, or by a method that is not taken, is answered alike,
after the same work: nobody finds out by asking what there is.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from millrace.app.firing.occasions import Firer, Occasion
from millrace.app.runs.making import check_values
from millrace.app.runs.starting import Fired, FiringOutcome
from millrace.app.triggers.repository import TriggerRow
from millrace.app.webhooks import repository
from millrace.app.webhooks.configs import UnusableConfig, config_of, webhook_use
from millrace.app.webhooks.files import WebhookFiles, references
from millrace.app.webhooks.finding import WebhookFinder
from millrace.auth.limits.senders import Sender, Senders
from millrace.core.errors import Fault, InvalidRequest, NotFound, TooLarge, Unauthenticated, Unavailable, Unreadable
from millrace.core.values import JsonObject, JsonValue, to_iso
from millrace.ports.clock import Clock
from millrace.ports.database import Database
from millrace.ports.secrets import Secrets, SecretUnavailable
from millrace.ports.store import StartKey
from millrace.triggers.webhook import bodies, verification
from millrace.triggers.webhook.authentication import HmacAuthentication, JwtAuthentication
from millrace.triggers.webhook.bodies import Body
from millrace.triggers.webhook.config import KEY_LIFETIME, Dedupe, WebhookConfig
from millrace.triggers.webhook.multipart import Malformed
from millrace.triggers.webhook.trust import UnusableKey
from millrace.triggers.webhook.verification import NotVerified, Sent

logger = logging.getLogger(__name__)

KEYS: Final = "trigger"
TRIES: Final = 5
"""How often a request is looked at anew because its trigger was changed meanwhile."""


class NotAllowed(Unauthenticated):
    """The request is not from whom it should be. `challenge`: what the answer asks for."""

    def __init__(self, message: str, challenge: str) -> None:
        super().__init__("unauthenticated", message)
        self.challenge = challenge


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request, but for its body."""

    method: str
    path: str
    """What stands behind `/webhook/`."""
    headers: Mapping[str, str]
    """By lower-case names; of several with one name, all, with `, ` between them."""
    query: str
    client: str


ReadBody: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Reads the body, of so many bytes at most; raises `TooLarge`."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """There is a run, and it is durable."""

    run_id: str
    duplicate: bool
    """An earlier delivery of the same has started it."""
    wait_seconds: float | None
    """How long the caller wants to wait for its output."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The request is in order, and the workflow wants no run for it."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """Slack asks whether the address is the right one, and wants its text back."""

    text: str


Answer: TypeAlias = Accepted | Skipped | Challenge


@dataclass(frozen=True, slots=True)
class _Told:
    """What a verified request says."""

    body: Body
    query: JsonObject
    raw: str | None
    digest: str
    """Of the body as it was sent."""
    key: StartKey | None


class WebhookReceiver:
    def __init__(
        self, database: Database, secrets: Secrets, firer: Firer, files: WebhookFiles, clock: Clock, senders: Senders
    ) -> None:
        self._database = database
        self._finder = WebhookFinder(database)
        self._secrets = secrets
        self._firer = firer
        self._files = files
        self._clock = clock
        self._senders = senders

    async def receive(self, incoming: Incoming, read_body: ReadBody) -> Answer:
        """Raises `NotFound`, `TooLarge`, `NotAllowed`, `RateLimited`, `InvalidRequest`, and `Unavailable` when it may
        come again."""
        content: bytes | None = None
        for _ in range(TRIES):
            row, config = await self._trigger(incoming)
            sender = self._senders.sender(row.id, incoming.client, _shown(config, incoming.headers))
            sender.refuse_if_held_up()
            if content is None:
                content = await read_body(config.max_body)
            elif len(content) > config.max_body:
                raise too_large(config.max_body)
            replay = await self._verify(row, config, incoming, content, sender)
            told = self._told(row, config, incoming, content, replay)
            if (challenge := _challenge(config, told.body)) is not None:
                return challenge
            answer = await self._start(row, config, incoming, told)
            if answer is not None:
                return answer
        raise Unavailable("trigger_changing", "the trigger is being changed; send the request again")

    # --- find -----------------------------------------------------------------------------------------------------

    async def _trigger(self, incoming: Incoming) -> tuple[TriggerRow, WebhookConfig]:
        row = await self._finder.find(incoming.path)
        if row is None or not row.active or row.type != repository.TYPE:
            raise unknown(incoming.path)
        try:
            config = config_of(row.config)
        except UnusableConfig as error:
            await self._note(row, str(error))
            raise unknown(incoming.path) from None
        if incoming.method not in config.methods:
            raise unknown(incoming.path)
        return row, config

    # --- verify ---------------------------------------------------------------------------------------------------

    async def _verify(
        self, row: TriggerRow, config: WebhookConfig, incoming: Incoming, content: bytes, sender: Sender
    ) -> str | None:
        """What tells this request from others, if it is signed. From its secrets on, nothing comes in between."""
        wanted = config.authenticates
        try:
            use = webhook_use(row.workflow_name)
            secrets = (await self._secrets.resolve(wanted.secrets, use)).values if wanted.secrets else {}
            sender.refuse_if_held_up()
            replay = verification.verify(wanted, secrets, Sent(incoming.headers, content), self._clock.now())
        except (SecretUnavailable, UnusableKey) as error:
            await self._note(row, f"requests cannot be verified: {error}")
            raise NotAllowed("the request cannot be verified", "Webhook") from None
        except NotVerified as error:
            logger.info("a request from %s to webhook %s is refused: %s", incoming.client, row.id, error.reason)
            sender.is_wrong()
            raise NotAllowed(f"the request is not verified: {error.reason}", error.challenge) from None
        missing = verification.missing_header(config.headers, incoming.headers)
        if missing is not None:
            sender.is_wrong()
            raise NotAllowed(f"the header {missing} does not have the value that this webhook asks for", "Webhook")
        sender.is_right()
        return replay

    async def _note(self, row: TriggerRow, error: str) -> None:
        """Written once, and not for each request that comes after."""
        if row.last_error != error:
            logger.warning("webhook %s of workflow %s takes no requests: %s", row.id, row.workflow_id, error)
            await self._database.write(lambda connection: repository.note_error(connection, row, error))

    # --- tell -----------------------------------------------------------------------------------------------------

    def _told(
        self, row: TriggerRow, config: WebhookConfig, incoming: Incoming, content: bytes, replay: str | None
    ) -> _Told:
        try:
            body = bodies.read_body(content, incoming.headers.get("content-type"))
            query = bodies.read_pairs(incoming.query)
        except Malformed as error:
            raise Unreadable("unreadable", str(error)) from None
        raw = _text(content) if config.raw else None
        check_values(request={"body": body.value, "query": query, "raw": raw})
        digest = hashlib.sha256(content).hexdigest()
        return _Told(body, query, raw, digest, self._key(row, config, incoming, body, replay))

    def _key(
        self, row: TriggerRow, config: WebhookConfig, incoming: Incoming, body: Body, replay: str | None
    ) -> StartKey | None:
        lifetimes = [] if replay is None else [config.replay_lifetime]
        if (dedupe := config.dedupe) is not None:
            digest = hashlib.sha256(_told_apart_by(dedupe, incoming, body).encode()).hexdigest()
            lifetimes.append(KEY_LIFETIME)
        elif replay is not None:
            digest = replay
        else:
            return None
        return StartKey(KEYS, row.id, f"webhook:{digest}", digest, self._clock.now() + max(lifetimes))

    def _data(
        self, row: TriggerRow, config: WebhookConfig, incoming: Incoming, told: _Told, files: list[JsonValue]
    ) -> JsonObject:
        data: JsonObject = {
            "id": row.name,
            "type": row.type,
            "time": to_iso(self._clock.now()),
            "method": incoming.method,
            "path": f"/webhook/{incoming.path}",
            "headers": bodies.headers_for_run(incoming.headers, config.authenticates.credential_headers),
            "query": told.query,
            "body": told.body.value,
            "event_type": config.event_type,
            "files": files,
        }
        return {**data, "raw": told.raw} if config.raw else data

    # --- start ----------------------------------------------------------------------------------------------------

    async def _start(self, row: TriggerRow, config: WebhookConfig, incoming: Incoming, told: _Told) -> Answer | None:
        """`None` if the trigger is not what it was."""
        kept = await self._files.keep(told.body.files)
        data = self._data(row, config, incoming, told, references(told.body.files, kept))
        fired = await self._firer.fire(row, Occasion(data, _occasion(data, told), told.key))
        if fired.outcome is FiringOutcome.STARTED and fired.run_id is not None:
            await self._files.give(kept, fired.run_id)
        else:
            await self._files.drop(kept)
        return _answer(fired, config)


def _shown(config: WebhookConfig, headers: Mapping[str, str]) -> tuple[str | None, ...] | None:
    """The credentials of a request; `None` where each has another one, a signature or a token."""
    wanted = config.authenticates
    if isinstance(wanted, HmacAuthentication | JwtAuthentication):
        return None
    return tuple(headers.get(name.lower()) for name in (*wanted.credential_headers, *config.headers))


def unknown(path: str) -> NotFound:
    """As for any other address where nothing is."""
    return NotFound("not_found", f"there is nothing at /webhook/{path}")


def too_large(limit: int) -> TooLarge:
    return TooLarge("too_large", f"the body is larger than the {limit} bytes that this webhook takes (`max_body`)")


def _told_apart_by(dedupe: Dedupe, incoming: Incoming, body: Body) -> str:
    told = incoming.headers.get(dedupe.header.lower()) if dedupe.header else None
    told = bodies.found_at(body.value, dedupe.body) if dedupe.body else told
    if not told:
        place = f"header.{dedupe.header}" if dedupe.header else f"body.{dedupe.body}"
        fault = Fault(place, "missing", "deliveries are told apart by this, and it is missing", "send it")
        raise InvalidRequest("invalid_request", "the request is not valid", faults=[fault])
    return told


def _text(content: bytes) -> str | None:
    """`None` for what is no text, which is a file."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _challenge(config: WebhookConfig, body: Body) -> Challenge | None:
    """Only from one who has signed it: the answer is a text that the caller chose."""
    wanted, said = config.authenticates, body.value
    if not isinstance(wanted, HmacAuthentication) or wanted.preset != "slack" or not isinstance(said, dict):
        return None
    text = said.get("challenge")
    return Challenge(text) if said.get("type") == "url_verification" and isinstance(text, str) else None


def _occasion(data: JsonObject, told: _Told) -> str:
    """What the firing is called: with its time, since a key may start another run once it has been forgotten."""
    what = told.digest[:16] if told.key is None else told.key.key.removeprefix("webhook:")
    return f"webhook:{what}:{data['time']}"


def _answer(fired: Fired, config: WebhookConfig) -> Answer | None:
    match fired.outcome:
        case FiringOutcome.STARTED | FiringOutcome.EXISTED:
            duplicate = fired.outcome is FiringOutcome.EXISTED
            return Accepted(fired.run_id or "", duplicate, None if duplicate else config.wait_seconds)
        case FiringOutcome.UNWANTED | FiringOutcome.SKIPPED:
            return Skipped()
        case FiringOutcome.REFUSED | FiringOutcome.FAILED:
            # Why may tell of variables and expressions, which are not the caller's; it stands with the firing.
            raise InvalidRequest("not_started", "the workflow does not take this request; its firings say why")
        case FiringOutcome.CHANGED:
            return None
