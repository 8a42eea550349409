"""The vault opens with the right keys or not at all; what it seals opens in its own place and nowhere else."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from millrace.auth.vault.envelope import CannotOpen, Sealed, Subject, open_sealed, seal
from millrace.auth.vault.key_source import EncryptionKeyUnusable
from millrace.auth.vault.keyring import EncryptionKey, KeyRing
from millrace.auth.vault.repository import newest_key
from millrace.auth.vault.vault import Vault, open_vault
from millrace.config import Settings
from millrace.core.errors import Unavailable
from millrace.core.values import SECOND
from millrace.ports.database import Database
from millrace.storage.database import SqliteDatabase
from millrace.storage.postgres.database import PostgresDatabase
from millrace.storage.tables import encryption_keys, secrets
from millrace.system import SystemClock

SUBJECT = Subject("secrets", "door", 1)


def key_text() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
async def database(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    opened: SqliteDatabase | PostgresDatabase
    if database_url is None:
        opened = await SqliteDatabase.open(tmp_path / "millrace.db", clock=SystemClock(), synchronous="off")
    else:
        opened = await PostgresDatabase.open(database_url)
    yield opened
    await opened.close()


async def vault_with(database: Database, home: Path, **settings: Any) -> Vault:
    return await open_vault(Settings(home=home, **settings), database)


async def keep(vault: Vault, database: Database, plain: str, name: str = "door") -> None:
    def work(connection: Any) -> None:
        sealed = vault.seal(connection, Subject("secrets", name, 1), plain)
        row = {"name": name, "sealed": sealed.text, "key_id": sealed.key_id}
        connection.execute(secrets.insert().values(**row, version=1, created_at=0, updated_at=0))

    await database.write(work)


async def kept(vault: Vault, database: Database, name: str = "door") -> str:
    query = select(secrets.c.sealed, secrets.c.key_id).where(secrets.c.name == name)
    row = await database.read(lambda connection: connection.execute(query).one())
    return vault.open(Subject("secrets", name, 1), Sealed(*row))


async def test_the_first_start_makes_a_key_and_later_ones_use_it(tmp_path: Path, database: Database) -> None:
    place = tmp_path / "home" / "encryption-key"
    await keep(await vault_with(database, tmp_path / "home"), database, "sesame")
    assert place.stat().st_mode & 0o777 == 0o600
    assert [child.name for child in place.parent.iterdir()] == ["encryption-key"]
    before = place.read_text()
    assert await kept(await vault_with(database, tmp_path / "home"), database) == "sesame"
    assert place.read_text() == before


async def test_a_lost_key_is_named_and_no_new_one_is_made(tmp_path: Path, database: Database) -> None:
    place = tmp_path / "encryption-key"
    await keep(await vault_with(database, tmp_path), database, "sesame")
    lost = EncryptionKey.parse(place.read_text())
    place.unlink()
    with pytest.raises(
        EncryptionKeyUnusable, match=f"1 secret, connection or agent .*{lost.id}.*MILLRACE_ENCRYPTION_KEY is not set"
    ) as said:
        await vault_with(database, tmp_path)
    assert str(place) in str(said.value)
    assert not place.exists()
    assert await kept(await vault_with(database, tmp_path, encryption_key=lost.text), database) == "sesame"


async def test_another_key_is_refused_with_both_ids(tmp_path: Path, database: Database) -> None:
    right, wrong = key_text(), key_text()
    await keep(await vault_with(database, tmp_path, encryption_key=right), database, "sesame")
    wanted, given = EncryptionKey.parse(right).id, EncryptionKey.parse(wrong).id
    with pytest.raises(EncryptionKeyUnusable, match=f"{wanted}.*MILLRACE_ENCRYPTION_KEY holds the key {given}") as said:
        await vault_with(database, tmp_path, encryption_key=wrong)
    assert wrong not in str(said.value)
    both = await vault_with(database, tmp_path, encryption_key=wrong, encryption_keys_old=f"{key_text()}, {right}")
    assert await kept(both, database) == "sesame"


async def test_a_key_without_the_check_value_of_the_database_is_refused(tmp_path: Path, database: Database) -> None:
    await keep(await vault_with(database, tmp_path), database, "sesame")
    await database.write(lambda connection: connection.exec_driver_sql("delete from encryption_keys"))
    with pytest.raises(EncryptionKeyUnusable, match="encryption_keys"):
        await vault_with(database, tmp_path)


async def test_with_nothing_encrypted_any_key_will_do(tmp_path: Path, database: Database) -> None:
    await keep(await vault_with(database, tmp_path / "one"), database, "sesame")
    await database.write(lambda connection: connection.exec_driver_sql("delete from secrets"))
    await keep(await vault_with(database, tmp_path / "two"), database, "another")
    assert await kept(await vault_with(database, tmp_path / "two"), database) == "another"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "holds no encryption key"),
        ("# nothing\n\n", "holds no encryption key"),
        ("c2hvcnQ=\n", "line 1 .*32 bytes, this has 5"),
        (f"{'A' * 43}=\nnot base64!\n", "line 2 .*not base64"),
        ("schlüssel\n", "not a file of keys"),
    ],
)
async def test_a_file_without_a_key_is_refused_and_left_alone(
    tmp_path: Path, database: Database, content: str, words: str
) -> None:
    place = tmp_path / "encryption-key"
    place.write_text(content)
    with pytest.raises(EncryptionKeyUnusable, match=words):
        await vault_with(database, tmp_path)
    assert place.read_text() == content


async def test_settings_that_make_no_key_are_named(tmp_path: Path, database: Database) -> None:
    for settings, words in (
        ({"encryption_key": "c2hvcnQ="}, "MILLRACE_ENCRYPTION_KEY: .*32 bytes"),
        ({"encryption_keys_old": "?"}, "MILLRACE_ENCRYPTION_KEYS_OLD: .*not base64"),
        ({"encryption_key_file": tmp_path / "missing"}, "MILLRACE_ENCRYPTION_KEY_FILE: .*missing is not there"),
        ({"encryption_key": key_text(), "encryption_key_file": tmp_path / "x"}, "not both"),
    ):
        with pytest.raises(EncryptionKeyUnusable, match=words):
            await vault_with(database, tmp_path, **settings)


async def test_a_key_in_a_setting_is_rotated_by_the_next_one(tmp_path: Path, database: Database) -> None:
    old, new = key_text(), key_text()
    await keep(await vault_with(database, tmp_path, encryption_key=old), database, "sesame")
    both = await vault_with(database, tmp_path, encryption_key=new, encryption_keys_old=old)
    done = await both.rotate()
    assert (done.key_id, done.resealed, done.made) == (EncryptionKey.parse(new).id, 1, False)
    assert await kept(await vault_with(database, tmp_path, encryption_key=new), database) == "sesame"
    assert not (tmp_path / "encryption-key").exists()


async def test_a_rotation_cut_short_after_its_file_leaves_everything_readable(
    tmp_path: Path, database: Database
) -> None:
    place = tmp_path / "encryption-key"
    vault = await vault_with(database, tmp_path)
    await keep(vault, database, "sesame")
    await database.write(lambda connection: connection.exec_driver_sql("update secrets set sealed = '1:broken:x'"))
    with pytest.raises(CannotOpen):
        await vault.rotate()
    assert len(place.read_text().split()) == 2
    await database.write(lambda connection: connection.exec_driver_sql("delete from secrets"))
    await keep(vault, database, "again")
    assert await kept(await vault_with(database, tmp_path), database) == "again"


async def others() -> bool:
    return True


async def processes(database: Database, home: Path, **settings: Any) -> tuple[Vault, Vault]:
    """The vaults of two processes with the same settings."""
    first = await open_vault(Settings(home=home, **settings), database, others)
    return first, await open_vault(Settings(home=home, **settings), database, others)


async def test_a_process_takes_up_the_key_that_another_one_has_made(tmp_path: Path, database: Database) -> None:
    first, second = await processes(database, tmp_path)
    await keep(first, database, "sesame")
    new = await first.rotate()
    assert await kept(second, database) == "sesame"
    await keep(second, database, "tree", "garden")
    used = await database.read(lambda connection: set(connection.execute(select(secrets.c.key_id)).scalars()))
    assert used == {new.key_id}, "nothing more is sealed with the key that was given up"


async def test_what_is_set_first_after_a_change_of_the_key_is_sealed_with_the_new_one(
    tmp_path: Path, database: Database
) -> None:
    first, second = await processes(database, tmp_path)
    await keep(first, database, "sesame")
    new = await first.rotate()
    await keep(second, database, "tree", "garden")
    used = await database.read(lambda connection: set(connection.execute(select(secrets.c.key_id)).scalars()))
    assert used == {new.key_id}


async def test_two_processes_that_change_the_key_one_after_the_other_lose_none(
    tmp_path: Path, database: Database
) -> None:
    first, second = await processes(database, tmp_path)
    await keep(first, database, "sesame")
    one, two = await first.rotate(), await second.rotate()
    assert (two.resealed, two.former[0]) == (1, one.key_id)
    assert len((tmp_path / "encryption-key").read_text().split()) == 3
    assert await kept(first, database) == await kept(second, database) == "sesame"


async def test_a_process_that_cannot_have_the_new_key_refuses_to_seal_with_the_old_one(
    tmp_path: Path, database: Database
) -> None:
    old, new = key_text(), key_text()
    behind, _ = await processes(database, tmp_path, encryption_key=old)
    await keep(behind, database, "sesame")
    changed, _ = await processes(database, tmp_path, encryption_key=new, encryption_keys_old=old)
    await changed.rotate()
    with pytest.raises(Unavailable, match="set MILLRACE_ENCRYPTION_KEY as for the process that changed it"):
        await keep(behind, database, "tree", "garden")
    with pytest.raises(CannotOpen, match="which this server does not have"):
        await kept(behind, database)


async def test_the_newest_key_is_the_one_noted_last_whatever_the_clocks_show(
    tmp_path: Path, database: Database
) -> None:
    first, second = await processes(database, tmp_path)
    await keep(first, database, "sesame")
    ahead = update(encryption_keys).values(created_at=2**60)
    await database.write(lambda connection: connection.execute(ahead))
    new = await second.rotate()
    assert await database.read(newest_key) == new.key_id


async def test_a_key_is_noted_at_the_time_of_the_database(tmp_path: Path, database: Database) -> None:
    await processes(database, tmp_path)
    query = select(encryption_keys.c.created_at.between(func.now_us() - 60 * SECOND, func.now_us()))
    assert await database.read(lambda connection: connection.execute(query).scalars().all()) == [True]


def test_a_sealed_value_opens_as_what_it_was_sealed_for_and_as_nothing_else() -> None:
    ring = KeyRing(EncryptionKey.fresh())
    sealed = seal(ring, SUBJECT, "sësame")
    assert open_sealed(ring, SUBJECT, sealed) == "sësame"
    for other in (
        Subject("connections", "door", 1),
        Subject("secrets", "gate", 1),
        Subject("secrets", "door", 2),
    ):
        with pytest.raises(CannotOpen, match="changed or moved"):
            open_sealed(ring, other, sealed)
    with pytest.raises(CannotOpen, match=sealed.key_id):
        open_sealed(KeyRing(EncryptionKey.fresh()), SUBJECT, sealed)


def test_every_changed_character_of_a_sealed_value_is_noticed() -> None:
    ring = KeyRing(EncryptionKey.fresh())
    sealed = seal(ring, SUBJECT, "sesame")
    for at, character in enumerate(sealed.text):
        for other in ("A", "B", ":", "="):
            changed = sealed.text[:at] + other + sealed.text[at + 1 :]
            if other != character and _decoded(changed) != _decoded(sealed.text):
                with pytest.raises(CannotOpen):
                    open_sealed(ring, SUBJECT, Sealed(changed, sealed.key_id))


def _decoded(text: str) -> object:
    """What a text says: the last character of base64 has bits that say nothing."""
    try:
        return [base64.b64decode(part, validate=True) for part in text.split(":")[1:]], text[:2]
    except ValueError:
        return None


def test_two_seals_of_the_same_value_have_nothing_in_common() -> None:
    ring = KeyRing(EncryptionKey.fresh())
    one, other = seal(ring, SUBJECT, "sesame").text.split(":"), seal(ring, SUBJECT, "sesame").text.split(":")
    assert one[1] != other[1]
    assert one[2] != other[2]


def test_a_key_is_never_shown() -> None:
    key = EncryptionKey.fresh()
    settings = Settings(encryption_key=key.text, encryption_keys_old=key.text)
    for text in (repr(key), repr(settings), str(settings), str(settings.redacted())):
        assert key.text not in text
        assert key.raw.hex() not in text
