"""The task type `database` on real servers and files: values both ways, transactions, limits, cancelling, secrets."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from millrace.core.failures import Failure
from millrace.ports.network import AddressRefused
from millrace.ports.runner import Completed, Failed, RunnerContext, RunnerServices
from millrace.runners.database import DatabaseConfig, DatabaseRunner

EXAMPLE = Path(__file__).parents[3] / "examples" / "ingest" / "ingest.yaml"
POSTGRES = pytest.param("postgres", marks=pytest.mark.service("postgres"))
MARIADB = pytest.param("mariadb", marks=pytest.mark.service("mariadb"))
SERVERS = (POSTGRES, MARIADB)
EVERYWHERE = ("sqlite", *SERVERS)


class LocalAddresses:
    """The address policy of an installation whose databases are on this machine."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    async def resolve(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append((host, port))
        if host == "metadata.example":
            raise AddressRefused(f"{host} is 169.254.169.254, which tasks may not reach")
        if host == "nowhere.example":
            raise OSError("Name or service not known")
        return ("127.0.0.1",) if host in ("localhost", "database.example") else (host,)


@dataclass
class Database:
    """One database, and how to run a task on it."""

    url: str
    runner: DatabaseRunner
    table: str
    addresses: LocalAddresses

    async def outcome(self, sql: str, parameters: Any = None, **config: Any) -> Completed | Failed:
        config = {"connection_string": self.url, **config}
        checked = DatabaseConfig(sql=sql.replace("TABLE_", self.table), parameters=parameters, **config)
        return await self.runner.run(checked, RunnerContext("run", "task", 1, lambda *_, **__: None))

    async def output(self, sql: str, parameters: Any = None, **config: Any) -> dict[str, Any]:
        outcome = await self.outcome(sql, parameters, **config)
        assert isinstance(outcome, Completed), outcome
        assert isinstance(outcome.output, dict)
        return outcome.output

    async def rows(self, sql: str, parameters: Any = None, **config: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = (await self.output(sql, parameters, **config))["rows"]
        return rows

    async def failure(self, sql: str, parameters: Any = None, **config: Any) -> Failure:
        outcome = await self.outcome(sql, parameters, **config)
        assert isinstance(outcome, Failed), outcome
        return outcome.failure


Connect = Callable[[str], Awaitable[Database]]


@pytest.fixture
async def connect(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    addresses = LocalAddresses()
    services = RunnerServices(
        http=None,  # type: ignore[arg-type]
        addresses=addresses,
        sqlite_allowed_dirs=(tmp_path,),
        own_database=None,
    )
    runner = DatabaseRunner(services)
    opened: list[Database] = []

    async def connect(name: str) -> Database:
        url = f"sqlite:///{tmp_path}/a.db" if name == "sqlite" else request.getfixturevalue(f"{name}_url")
        opened.append(Database(url, runner, f"t_{uuid4().hex}", addresses))
        return opened[-1]

    yield connect
    for database in opened:
        await database.output("drop table if exists TABLE_", connection_string=database.url)
    await runner.close()


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize(
    ("placeholders", "values"),
    [
        ("%s, %s, %s", [1, "b'); drop table TABLE_; --", None]),
        ("?, ?, ?", [1, "b'); drop table TABLE_; --", None]),
        (":id, :text, :none", {"id": 1, "text": "b'); drop table TABLE_; --", "none": None}),
        ("%(id)s, %(text)s, %(none)s", {"id": 1, "text": "b'); drop table TABLE_; --", "none": None}),
    ],
)
async def test_every_placeholder_style_binds_on_every_database(
    connect: Connect, name: str, placeholders: str, values: Any
) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer, a varchar(100), b varchar(100))")
    output = await database.output(f"insert into TABLE_ values ({placeholders})", values)  # noqa: S608

    assert output == {"rows": [], "row_count": 1, "columns": []}
    assert await database.rows("select id, a, b from TABLE_") == [
        {"id": 1, "a": "b'); drop table TABLE_; --", "b": None}
    ]


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize(
    ("column", "listed", "inside", "outside"),
    [
        ("id", [1, 3], [1, 3], [2]),
        ("id", [], [], [1, 2, 3]),
        ("name", ["a", "b'); drop table TABLE_; --"], [1, 2], [3]),
        ("name", [], [], [1, 2, 3]),
        ("id", 2, [2], [1, 3]),
        ("id", [*range(10_000)], [1, 2, 3], []),
    ],
)
async def test_a_list_in_the_parentheses_of_in_stands_for_its_values(
    connect: Connect, name: str, column: str, listed: Any, inside: list[int], outside: list[int]
) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer, name varchar(100))")
    await database.output("insert into TABLE_ values (1, ?), (2, ?), (3, ?)", ["a", "b'); drop table TABLE_; --", "c"])

    for sql, expected in ((f"{column} in (:x)", inside), (f"{column} not in (:x)", outside)):
        rows = await database.rows(f"select id from TABLE_ where {sql} order by id", {"x": listed})  # noqa: S608
        assert [row["id"] for row in rows] == expected
    assert await database.rows(f"select id from TABLE_ where {column} in (?) and id = ?", [listed, 4]) == []  # noqa: S608


@pytest.mark.parametrize("name", EVERYWHERE)
@pytest.mark.parametrize(
    "value",
    ["", "'", '"', "\\", "\\'", "%s %(a)s :a ?", "é 漢 🎉", "a\nb\tc", "*/ -- #", "$$;$$", "1 or 1=1", "x" * 70_000],
)
async def test_any_text_comes_back_as_it_went_in(connect: Connect, name: str, value: str) -> None:
    database = await connect(name)
    cast = {"postgres": "text", "mariadb": "char", "sqlite": "text"}[name]
    assert await database.rows(f"select cast(:v as {cast}) as v where '?:v%s' <> 'x'", {"v": value}) == [{"v": value}]


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_a_script_is_one_transaction_and_a_failure_undoes_all_of_it(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer primary key)")
    failure = await database.failure("insert into TABLE_ values (1); insert into TABLE_ values (2), (1)")

    assert failure.kind == "error"
    assert await database.rows("select id from TABLE_") == []


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_without_a_transaction_what_succeeded_stays(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer primary key)")
    await database.failure("insert into TABLE_ values (1); insert into TABLE_ values (1)", transaction=False)
    assert await database.rows("select id from TABLE_") == [{"id": 1}]

    failure = await database.failure("begin; insert into TABLE_ values (2)", transaction=False)
    assert "ends inside a transaction" in failure.message
    await database.output("begin; insert into TABLE_ values (3); commit", transaction=False)
    assert await database.rows("select id from TABLE_ order by id") == [{"id": 1}, {"id": 3}]


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_the_last_statement_with_rows_gives_the_rows(connect: Connect, name: str) -> None:
    database = await connect(name)
    script = """
        create table TABLE_ (id integer, a integer); insert into TABLE_ values (1, 2), (3, 4);
        select 1 as one; select id, a, a from TABLE_ order by id; update TABLE_ set a = 0;
    """
    output = await database.output(script)
    assert output["rows"] == [{"id": 1, "a": 2, "a_2": 2}, {"id": 3, "a": 4, "a_2": 4}]
    assert output["row_count"] == 2
    assert [column["name"] for column in output["columns"]] == ["id", "a", "a_2"]

    assert (await database.output("update TABLE_ set a = 1"))["row_count"] == 2
    assert (await database.output("select id from TABLE_ order by id", fetch="one"))["rows"] == [{"id": 1}]
    assert await database.output("update TABLE_ set a = 9; select * from TABLE_", fetch="none") == {
        "rows": [],
        "row_count": 2,
        "columns": [],
    }
    assert (await database.output("select id from TABLE_ where id > 9"))["rows"] == []


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_too_many_rows_are_a_failure_and_undo_the_script(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer); insert into TABLE_ values (1), (2), (3)")
    failure = await database.failure("insert into TABLE_ values (4); select * from TABLE_", row_limit=3)

    assert failure.kind == "invalid_output"
    assert "3 rows" in failure.message
    assert "row_limit" in failure.message
    assert len(await database.rows("select * from TABLE_", row_limit=3)) == 3


@pytest.mark.parametrize(
    ("name", "sql"),
    [
        (
            "sqlite",
            "with recursive c(n) as (select 1 union all select n + 1 from c) select n, printf('%1000d', n) from c",
        ),
        pytest.param("postgres", "select n, repeat('x', 1000) from generate_series(1, 100000) n", marks=POSTGRES.marks),
        pytest.param("mariadb", "select seq, repeat('x', 1000) from seq_1_to_1000000000", marks=MARIADB.marks),
    ],
)
async def test_a_huge_result_is_given_up_at_the_size_limit(connect: Connect, name: str, sql: str) -> None:
    database = await connect(name)
    failure = await database.failure(sql, row_limit=1_000_000)
    assert failure.kind == "invalid_output"
    assert "bytes" in failure.message


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_read_only_refuses_every_change(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer)")
    for transaction in (True, False):
        failure = await database.failure("insert into TABLE_ values (1)", read_only=True, transaction=transaction)
        assert "read" in failure.message.lower()
        await database.failure(f"create table TABLE_{transaction} (a integer)", read_only=True, transaction=transaction)
    assert await database.rows("select * from TABLE_", read_only=True) == []


SQLITE_TYPES = [
    ("1", "integer", 1),
    ("9223372036854775807", "integer", 9223372036854775807),
    ("1.5", "real", 1.5),
    ("9e999", "real", "Infinity"),
    ("'é'", "text", "é"),
    ("x'00ff'", "blob", "AP8="),
    ("null", "null", None),
]
POSTGRES_TYPES = [
    ("true", "bool", True),
    ("1::int2", "int2", 1),
    ("9223372036854775807", "int8", 9223372036854775807),
    ("1.5::float8", "float8", 1.5),
    ("'-Infinity'::float4", "float4", "-Infinity"),
    ("'NaN'::float8", "float8", "NaN"),
    ("1.100::numeric(20,3)", "numeric", "1.100"),
    ("12345678901234567890.12345678901234567890", "numeric", "12345678901234567890.12345678901234567890"),
    ("'NaN'::numeric", "numeric", "NaN"),
    ("'é'::varchar(3)", "varchar", "é"),
    ("'a'::char(3)", "bpchar", "a  "),
    ("'\\x00ff'::bytea", "bytea", "AP8="),
    ("date '2024-02-29'", "date", "2024-02-29"),
    ("date 'infinity'", "date", "infinity"),
    ("date '9999-12-31'", "date", "9999-12-31"),
    ("time '10:11:12.5'", "time", "10:11:12.5"),
    ("timestamp '2024-02-29 10:11:12.000001'", "timestamp", "2024-02-29T10:11:12.000001"),
    ("timestamptz '2024-02-29 10:11:12+00' at time zone 'UTC'", "timestamp", "2024-02-29T10:11:12"),
    ("timestamptz '-infinity'", "timestamptz", "-infinity"),
    ("interval '1 day 02:03:04'", "interval", "P1DT2H3M4S"),
    ("'0E0B3A5C-0000-4000-8000-000000000001'::uuid", "uuid", "0e0b3a5c-0000-4000-8000-000000000001"),
    ("'{\"a\": [1, null, 1.5]}'::json", "json", {"a": [1, None, 1.5]}),
    ("'{\"a\": 123456789012345678901}'::jsonb", "jsonb", {"a": "123456789012345678901"}),
    ("'null'::jsonb", "jsonb", None),
    ("array[1, null, 3]", "int4[]", [1, None, 3]),
    ("array[['a'], ['b,\"']]", "text[]", [["a"], ['b,"']]),
    ("array[1.10, 2]", "numeric[]", ["1.10", "2"]),
    ("array['2024-01-01'::date]", "date[]", ["2024-01-01"]),
    ("'10.0.0.0/8'::cidr", "cidr", "10.0.0.0/8"),
    ("'(1,2)'::point", "point", "(1,2)"),
    ("row(1, 'a')", "record", "(1,a)"),
    ("null::int", "int4", None),
]
MARIADB_TYPES = [
    ("1", "int", 1),
    ("18446744073709551615", "bigint", "18446744073709551615"),
    ("1.5e0", "double", 1.5),
    ("cast('1.100' as decimal(20,3))", "decimal", "1.100"),
    ("'é'", "varchar", "é"),
    ("x'00ff'", "varbinary", "AP8="),
    ("date '2024-02-29'", "date", "2024-02-29"),
    ("timestamp '2024-02-29 10:11:12.000001'", "datetime", "2024-02-29T10:11:12.000001"),
    ("time '-838:59:59'", "time", "-838:59:59"),
    ("json_object('a', 1)", "varchar", '{"a": 1}'),
    ("null", "null", None),
]


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("sqlite", SQLITE_TYPES),
        pytest.param("postgres", POSTGRES_TYPES, marks=POSTGRES.marks),
        pytest.param("mariadb", MARIADB_TYPES, marks=MARIADB.marks),
    ],
)
async def test_types_are_kept(connect: Connect, name: str, cases: list[tuple[str, str, Any]]) -> None:
    database = await connect(name)
    columns = ", ".join(f"{sql} as c{number}" for number, (sql, _, _) in enumerate(cases))
    output = await database.output(f"select {columns}")

    found = [
        (sql, column["type"], output["rows"][0][column["name"]])
        for (sql, _, _), column in zip(cases, output["columns"], strict=True)
    ]
    assert found == cases


@pytest.mark.service("mariadb")
async def test_types_that_only_mariadb_columns_have_are_kept(connect: Connect) -> None:
    database = await connect("mariadb")
    await database.output(
        "create table TABLE_ (y year, b bit(10), e enum('a', 'b'), s set('a', 'b'), t text, bl blob, z tinyint(1))"
    )
    await database.output(
        "insert into TABLE_ values (2024, 513, 'b', 'a,b', :text, unhex('00ff'), :yes)", {"text": "é", "yes": True}
    )
    output = await database.output("select * from TABLE_")
    assert output["rows"] == [{"y": 2024, "b": 513, "e": "b", "s": "a,b", "t": "é", "bl": "AP8=", "z": 1}]
    assert {column["name"]: column["type"] for column in output["columns"]}["bl"] == "blob"


@pytest.mark.service("postgres")
async def test_postgres_reads_parameters_as_the_type_of_their_place(connect: Connect) -> None:
    database = await connect("postgres")
    await database.output(
        "create table TABLE_ (d date, t timestamptz, u uuid, n numeric, i int, s text, b bool, j jsonb, a int[],"
        " x text[], y bytea, f float8)"
    )
    given = {
        "d": "2024-02-29", "t": "2024-02-29T10:00:00Z", "u": "0e0b3a5c-0000-4000-8000-000000000001",
        "n": 12.5, "i": "7", "s": 5, "b": True, "j": {"k": [1, "é"]}, "a": [1, 2, None], "x": ["a", 'b"'],
        "y": "AP8=", "f": 3,
    }  # fmt: skip
    names = ", ".join(f":{name}" for name in given)
    (row,) = await database.rows(f"insert into TABLE_ values ({names}) returning *", given)  # noqa: S608

    assert row.pop("t").startswith("2024-02-29T")
    kept = {**given, "n": "12.5", "i": 7, "s": "5", "f": 3.0}
    del kept["t"]
    assert row == kept
    failure = await database.failure("select :a::int[]", {"a": "no list"})
    assert failure.kind == "invalid_input"


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_a_list_or_object_is_json_for_a_place_that_takes_text(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (a varchar(100), b varchar(100))")
    await database.output("insert into TABLE_ values (?, ?)", [{"k": [1, None]}, ["é"]])
    assert await database.rows("select * from TABLE_") == [{"a": '{"k":[1,null]}', "b": '["é"]'}]


@pytest.mark.parametrize(
    ("name", "sleep", "running"),
    [
        pytest.param(
            "postgres",
            "select pg_sleep(600) as TABLE_",
            "select count(*) as n from pg_stat_activity where state = 'active' and query like '%TABLE_%'"
            " and pid <> pg_backend_pid()",
            marks=POSTGRES.marks,
        ),
        pytest.param(
            "mariadb",
            "select benchmark(300000000, md5('a')) as TABLE_",
            "select count(*) as n from information_schema.processlist where info like '%TABLE_%'"
            " and id <> connection_id()",
            marks=MARIADB.marks,
        ),
    ],
)
async def test_cancelling_stops_the_statement_on_the_server(
    connect: Connect, name: str, sleep: str, running: str
) -> None:
    database = await connect(name)

    async def until(count: int) -> None:
        async with asyncio.timeout(60):
            while (await database.rows(running))[0]["n"] != count:
                pass

    task = asyncio.ensure_future(database.outcome(sleep))
    await until(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(0)


@pytest.mark.parametrize("name", SERVERS)
async def test_the_connection_goes_where_the_address_policy_says(connect: Connect, name: str) -> None:
    database = await connect(name)
    url = database.url.replace("127.0.0.1", "database.example")
    assert await database.rows("select 1 as one", connection_string=url) == [{"one": 1}]
    assert database.addresses.asked[-1][0] == "database.example"

    failure = await database.failure("select 1", connection_string=url.replace("database.", "metadata."))
    assert failure.kind == "refused"
    assert "MILLRACE_HTTP_ALLOWED_TARGETS" in failure.message
    failure = await database.failure("select 1", connection_string=url.replace("database.", "nowhere."))
    assert failure.kind == "error"
    assert "nowhere.example" in failure.message


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1", "metadata.example", "nowhere.example", "a,b", "h:x"])
async def test_no_failure_shows_the_password(connect: Connect, name: str, address: str) -> None:
    database = await connect(name)
    scheme = database.url.partition("://")[0]
    for password in ("hunter2", "hunter%402"):
        url = f"{scheme}://nobody:{password}@{address}/test"
        failure = await database.failure("select 1", connection_string=url)
        assert "hunter" not in failure.message
        failure = await database.failure(f"select '{password}' from x", connection_string=url)  # noqa: S608
        assert "hunter" not in failure.message


@pytest.mark.service("postgres")
@pytest.mark.parametrize("repeated", ["hunt@er", "hunt%40er"])
async def test_a_password_that_the_server_repeats_is_masked(connect: Connect, repeated: str) -> None:
    database = await connect("postgres")
    user, _, rest = database.url.partition("://")[2].partition("@")
    url = f"postgresql://{user.partition(':')[0]}:hunt%40er@{rest}"
    failure = await database.failure(f'select "{repeated}"', connection_string=url)
    assert "hunt" not in failure.message
    assert "***" in failure.message


@pytest.mark.parametrize("name", EVERYWHERE)
async def test_fetching_one_row_of_a_change_still_makes_all_of_it(connect: Connect, name: str) -> None:
    database = await connect(name)
    await database.output("create table TABLE_ (id integer)")
    rows = await database.rows("insert into TABLE_ values (1), (2), (3) returning id", fetch="one")
    assert rows == [{"id": 1}]
    assert len(await database.rows("select * from TABLE_")) == 3


def test_an_idle_worker_carries_no_driver() -> None:
    drivers = "{'asyncpg', 'asyncmy', 'sqlite3', 'sqlalchemy'}"
    check = f"import sys, millrace.runners.database; assert not {drivers} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


@pytest.mark.service("mariadb")
async def test_mysql_never_sends_a_file_of_this_machine(connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    database = await connect("mariadb")
    await database.output("create table TABLE_ (a text)")
    failure = await database.failure(f"load data local infile '{tmp_path}/secret' into table TABLE_")
    assert "local infile" in failure.message
    assert await database.rows("select * from TABLE_") == []


@pytest.mark.service("postgres")
async def test_copy_through_the_client_is_refused_instead_of_waiting_for_ever(connect: Connect) -> None:
    database = await connect("postgres")
    failure = await database.failure("create temporary table q (a text); copy q from stdin")
    assert failure.kind == "invalid_input"


async def test_the_ingest_example_works_as_written(connect: Connect) -> None:
    database = await connect("sqlite")
    tasks = {task["id"]: task["config"] for task in yaml.safe_load(EXAMPLE.read_text())["tasks"]}
    load = {
        **tasks["load"],
        "connection_string": database.url,
        "parameters": {"orders": '[["1","eu","5"],["2","eu","7"]]'},
    }
    add_up = {**tasks["add_up"], "connection_string": database.url}

    assert (await database.output(**load))["row_count"] == 2
    assert (await database.output(**load))["row_count"] == 2
    assert await database.rows(**add_up) == [{"region": "eu", "orders": 2, "total": 12}]


@pytest.mark.parametrize("field", ["connection", "options", "SQL"])
def test_unknown_fields_are_named(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        DatabaseConfig.model_validate({"connection_string": "sqlite://", "sql": "select 1", field: "x"})


def test_every_field_is_described_and_sql_is_no_template() -> None:
    assert all(field.description for field in DatabaseConfig.model_fields.values())
    assert DatabaseRunner.literal_fields == {"sql"}
