"""Connection strings: what is read from them, what is refused, and that no message repeats a password."""

import pytest

from millrace.runners.sql.address import read_target, secrets_in
from millrace.runners.sql.dialect import MYSQL, POSTGRES, SQLITE
from millrace.runners.sql.faults import SqlFault


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "POSTGRES"])
def test_a_postgres_address_is_read_with_any_driver_suffix(scheme: str) -> None:
    target = read_target(f"{scheme}://us%40er:p%2Fw%20@[::1]/d%20b?sslmode=verify-full&connect_timeout=3")

    assert (target.dialect, target.host, target.port, target.database) == (POSTGRES, "::1", 5432, "d b")
    assert (target.user, target.password) == ("us@er", "p/w ")
    assert (target.tls, target.connect_timeout) == ("verify-full", 3.0)
    assert "p/w" not in repr(target)


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+asyncmy", "mysql+pymysql", "mariadb+mariadbconnector"])
def test_a_mysql_address_is_read_with_any_driver_suffix(scheme: str) -> None:
    target = read_target(f"{scheme}://u@DB.example.com:3307/x?charset=utf8mb4&ssl_mode=REQUIRED")

    assert (target.dialect, target.host, target.port, target.database) == (MYSQL, "db.example.com", 3307, "x")
    assert target.tls == "require"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:////srv/a.db", "/srv/a.db"),
        ("sqlite:///a.db", "a.db"),
        ("sqlite+aiosqlite:////srv/a%20b.db", "/srv/a b.db"),
        ("sqlite://", ""),
        ("sqlite:///:memory:", ""),
    ],
)
def test_a_sqlite_address_is_a_path(text: str, path: str) -> None:
    assert (read_target(text).dialect, read_target(text).database) == (SQLITE, path)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", "invalid_input", "must begin with"),
        ("oracle://u:secret@h/d", "invalid_input", "must begin with"),
        ("postgresql://u:secret@/d", "refused", "a host is needed"),
        ("postgresql://u:secret@/d?host=/var/run/postgresql", "refused", "a host is needed"),
        ("postgresql://u:secret@%2Fvar%2Frun/d", "refused", "socket files"),
        ("postgresql://u:secret@a,b/d", "refused", "several hosts"),
        ("postgresql://u:secret@a:1,b:2/d", "refused", "several hosts"),
        ("postgresql://u:secret@h/d?host=other", "refused", "'host' is not allowed"),
        ("postgresql://u:secret@h/d?sslcert=/etc/passwd", "refused", "'sslcert' is not allowed"),
        ("postgresql://u:secret@h/d?sslrootcert=/etc/passwd", "refused", "not allowed"),
        ("postgresql://u:secret@h/d?passfile=/etc/passwd", "refused", "not allowed"),
        ("postgresql://u:secret@h/d?service=x", "refused", "not allowed"),
        ("postgresql://u:secret@h/d?options=-c%20x", "refused", "not allowed"),
        ("mysql://u:secret@h/d?unix_socket=/run/mysqld.sock", "refused", "not allowed"),
        ("mysql://u:secret@h/d?local_infile=1", "refused", "not allowed"),
        ("mysql://u:secret@h/d?read_default_file=/etc/my.cnf", "refused", "not allowed"),
        ("mysql://u:secret@h/d?ssl_ca=/etc/passwd", "refused", "not allowed"),
        ("mysql://u:secret@h/d?charset=latin1", "invalid_input", "utf8mb4"),
        ("postgresql://u:secret@h/d?sslmode=maybe", "invalid_input", "sslmode"),
        ("postgresql://u:secret@h/d?sslmode=require&ssl=false", "invalid_input", "twice"),
        ("postgresql://u:secret@h/d?connect_timeout=0", "invalid_input", "connect_timeout"),
        ("postgresql://:secret@h/d", "invalid_input", "user"),
        ("postgresql://u:secret@h", "invalid_input", "database"),
        ("postgresql://u:sec#ret@h/d", "invalid_input", "cannot be read|%23"),
        ("postgresql://u:sec/ret@h/d", "invalid_input", "cannot be read"),
        ("postgresql://u:secret@h:port/d", "invalid_input", "cannot be read"),
        ("postgresql://u:secret@h/d\n", "invalid_input", "control character"),
        ("postgresql://u:sec%00ret@h/d", "invalid_input", "NUL"),
        ("sqlite:///file:/srv/a.db", "refused", "`file:`"),
        ("sqlite:////srv/a.db?mode=rwc", "refused", "options"),
        ("sqlite://host/a.db", "invalid_input", "sqlite:///PATH"),
    ],
)
def test_what_is_not_allowed_is_refused_without_repeating_the_password(text: str, kind: str, message: str) -> None:
    with pytest.raises(SqlFault, match=message) as caught:
        read_target(text)
    assert caught.value.kind == kind
    assert "secret" not in str(caught.value)
    assert "ret" not in str(caught.value).replace("%23", "")


def test_every_form_of_a_password_is_known_even_of_a_string_that_cannot_be_read() -> None:
    forms = secrets_in("postgresql://u:p%40s/s%20@h:nope/d")

    assert {"p%40s/s%20", "p@s/s ", "p%40s%2Fs%20"} <= set(forms)
    assert secrets_in("sqlite:////srv/a.db") == ()
    assert secrets_in("mysql://user@h/d") == ()
