"""The config of a task against the real task types: what is wrong whatever the expressions in it will give."""

from typing import Any

import pytest

from tests.unit.definition.example import accepted, faults, line, only, task, workflow

URL = {"url": "https://example.com"}
SQL = {"connection_string": "sqlite:////tmp/a.db", "sql": "select 1"}
LATER = "{{ input.x }}"


def with_config(kind: str, config: Any) -> dict[str, Any]:
    return workflow(task("a", kind, config=config))


@pytest.mark.parametrize(
    ("kind", "config", "place", "code", "says"),
    [
        ("http", {}, "url", "missing", "url is missing"),
        ("http", {"headers": {"a": LATER}}, "url", "missing", "url is missing"),
        ("http", {**URL, "hedaers": {}}, "hedaers", "unknown_field", "did you mean 'headers'?"),
        ("http", {**URL, "hedaers": {"a": LATER}}, "hedaers", "unknown_field", "did you mean 'headers'?"),
        ("http", {**URL, "headers": ["a"]}, "headers", "type", "headers must be a mapping, not a list"),
        ("http", {**URL, "expected_status": []}, "expected_status", "value", "expected_status must not be empty"),
        ("http", {"url": 5}, "url", "type", "url must be text, not a number"),
        ("http", {"url": ""}, "url", "missing", "url is missing"),
        ("http", {**URL, "method": "PSOT"}, "method", "value", "'PSOT'"),
        ("http", {**URL, "max_bytes": "many"}, "max_bytes", "type", "max_bytes must be a whole number, not text"),
        ("http", {**URL, "max_bytes": 0}, "max_bytes", "value", "max_bytes must be at least 1, not 0"),
        ("http", {**URL, "verify_tls": "perhaps"}, "verify_tls", "type", "true or false"),
        ("http", {**URL, "expected_status": [200, 999]}, "expected_status", "value", "999 is no status"),
        ("http", {**URL, "expected_status": [[]]}, "expected_status[0]", "type", "a whole number or text, not a list"),
        ("http", {**URL, "auth": {"type": "basic", "username": "u"}}, "auth.password", "missing", "password"),
        (
            "http", {**URL, "auth": {"type": "basic", "username": LATER}}, "auth.password", "missing",
            "password is missing",
        ),
        ("http", {**URL, "auth": {"type": "bearer", "token": 5}}, "auth.token", "type", "token must be text"),
        (
            "http", {**URL, "auth": {"type": "bearer", "token": LATER, "tokne": 1}}, "auth.tokne", "unknown_field",
            "did you mean 'token'?",
        ),
        ("http", {**URL, "auth": {"type": "baerer", "token": "t"}}, "auth.type", "value", "did you mean 'bearer'?"),
        ("http", {**URL, "auth": {"token": "t"}}, "auth.type", "missing", "type is missing"),
        ("http", {**URL, "auth": "me"}, "auth", "type", "auth must be a mapping, not text"),
        (
            "http", {**URL, "auth": {"type": "api_key", "key": "k", "in": "cookie"}}, "auth.in", "value",
            "in cannot be 'cookie'",
        ),
        ("http", {**URL, "body": {"json": 1, "text": "a"}}, "body", "value", "one of json, form, text and file"),
        ("http", {**URL, "body": {"form": [1]}}, "body.form", "type", "form must be a mapping, not a list"),
        ("http", {**URL, "body": {"text": {"a": LATER}}}, "body.text", "type", "text must be text, not a mapping"),
        ("http", {**URL, "body": 5}, "body", "type", "body must be a mapping, not a number"),
        ("shell", {"command": 5}, "command", "type", "command must be text or a list, not a number"),
        ("http", {**URL, "expected_status": [200, None]}, "expected_status[1]", "type", "text, not null"),
        ("shell", {"command": []}, "command", "value", "there is no command"),
        ("shell", {"command": "a", "env": {"A=B": 1}}, "env", "value", "'A=B' cannot be the name"),
        ("shell", {"command": "a", "environment": {}}, "environment", "unknown_field", "'environment'"),
        ("shell", {"env": {"A": LATER}}, "command", "missing", "command is missing"),
        ("database", {"sql": "select 1"}, "connection_string", "missing", "connection_string is missing"),
        ("database", {**SQL, "parameters": "x"}, "parameters", "type", "a list or a mapping, not text"),
        ("database", {**SQL, "fetch": "many"}, "fetch", "value", "fetch cannot be 'many'"),
        ("database", {**SQL, "row_limit": 0}, "row_limit", "value", "row_limit must be at least 1, not 0"),
        ("database", {**SQL, "sql": ""}, "sql", "value", "sql must not be empty"),
        ("log", {"message": "m", "level": "warn"}, "level", "value", "did you mean 'warning'?"),
        ("log", {}, "message", "missing", "message is missing"),
        ("noop", {"outptu": 1}, "outptu", "unknown_field", "did you mean 'output'?"),
        ("transform", {}, "output", "missing", "output is missing"),
    ],
)  # fmt: skip
def test_a_config_that_nothing_can_mend(kind: str, config: Any, place: str, code: str, says: str) -> None:
    fault = only(with_config(kind, config))
    assert (fault.path, fault.code) == (f"tasks[0].config.{place}", code)
    assert says in fault.message, line(fault)
    assert fault.remedy
    assert "nput should" not in fault.message


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("http", {"url": LATER, "method": LATER, "headers": LATER, "query": LATER, "max_bytes": LATER}),
        ("http", {**URL, "headers": {"a": LATER}, "expected_status": [LATER], "verify_tls": LATER}),
        ("http", {**URL, "auth": LATER, "body": LATER}),
        ("http", {**URL, "auth": {"type": LATER, "token": "t"}}),
        ("http", {**URL, "body": {"json": {"a": [LATER]}}}),
        ("http", {**URL, "body": {"form": LATER}}),
        ("http", {**URL, "body": [1, LATER]}),
        ("http", {**URL, "body": {"any": "mapping"}}),
        ("http", {**URL, "method": "post"}),
        ("shell", {"command": [LATER], "env": LATER, "expected_exit_codes": LATER, "stdin": {"a": 1}}),
        ("shell", {"command": ["a"], "expected_exit_codes": [0, LATER]}),
        ("database", {**SQL, "parameters": LATER, "row_limit": LATER, "transaction": LATER, "fetch": LATER}),
        ("database", {**SQL, "sql": "select ?, ?", "parameters": [1, {"a": [None, LATER]}]}),
        ("log", {"message": {"a": LATER}, "level": LATER, "metadata": LATER}),
        ("noop", None),
    ],
)
def test_what_an_expression_gives_is_not_known_yet(kind: str, config: Any) -> None:
    accepted(with_config(kind, config))


def test_every_field_is_told_at_once() -> None:
    config = {"headers": [LATER], "query": 5, "method": "X", "max_bytes": -1, "nonsense": LATER, "body": 5}
    assert sorted(fault.path for fault in faults(with_config("http", config))) == [
        f"tasks[0].config.{place}" for place in ("body", "headers", "max_bytes", "method", "nonsense", "query", "url")
    ]


def test_the_remedy_says_what_a_missing_field_is() -> None:
    assert "http:// or https:// address" in only(with_config("http", {})).remedy


ADDRESS = "must begin with http:// or https://"
CONTROL = "holds a line break or another control character"


@pytest.mark.parametrize(
    ("config", "place", "says", "remedy"),
    [
        ({"url": "foo"}, "url", ADDRESS, "https://"),
        ({"url": "/orders"}, "url", ADDRESS, "https://"),
        ({"url": "file:///etc/passwd"}, "url", ADDRESS, "https://"),
        ({"url": "ftp://a.example/x"}, "url", ADDRESS, "https://"),
        ({"url": "https:/a.example"}, "url", ADDRESS, "https://"),
        ({"url": "https://"}, "url", "names no server", "HOST"),
        ({"url": "https://:80/"}, "url", "names no server", "HOST"),
        ({"url": "https://my host/"}, "url", "has no valid name of a server", "HOST"),
        ({"url": "https://a.example:99999/"}, "url", "has no such port", "1 to 65535"),
        ({"url": "https://a.example:0"}, "url", "has no such port", "1 to 65535"),
        ({"url": "https://a.example:000000/"}, "url", "has no such port", "1 to 65535"),
        ({"url": "https://[fe80::1%25/]/"}, "url", "has no valid name of a server", "HOST"),
        ({"url": "https://a.example:http/"}, "url", "has no such port", "1 to 65535"),
        ({"url": "https://ada:swordfish@a.example/"}, "url", "holds a user name or password", "use `auth`"),
        ({"url": "https://a.example/\r\nX: 1"}, "url", CONTROL, "%0A"),
        ({"connection": "shop", "url": "/a\nb"}, "url", CONTROL, "%0A"),
        ({**URL, "headers": {"X-A": "a\r\nX-B: b"}}, "headers['X-A']", CONTROL, "read from a file"),
        ({**URL, "headers": {"X-A": "a\n", "X-B": LATER}}, "headers['X-A']", CONTROL, "read from a file"),
        ({**URL, "headers": {"X A": LATER}}, "headers['X A']", "'X A' cannot be the name of a header", "hyphens"),
        ({**URL, "headers": {"Größe": "1"}}, "headers['Größe']", "cannot be the name of a header", "hyphens"),
        ({**URL, "auth": {"type": "bearer", "token": "a\n"}}, "auth.token", CONTROL, "read from a file"),
        ({**URL, "auth": {"type": "api_key", "key": "a\n"}}, "auth.key", CONTROL, "read from a file"),
        ({**URL, "auth": {"type": "api_key", "key": "k", "name": "a:b"}}, "auth.name", "cannot be the name", "hyphens"),
        (
            {**URL, "auth": {"type": "oauth2_client_credentials", "token_url": "x", "client_id": "a",
                             "client_secret": LATER}},
            "auth.token_url", ADDRESS, "https://",
        ),
    ],
)  # fmt: skip
def test_a_request_that_cannot_be_sent_is_told_before_it_is(
    config: dict[str, Any], place: str, says: str, remedy: str
) -> None:
    fault = only(with_config("http", config))
    assert (fault.path, fault.code) == (f"tasks[0].config.{place}", "value")
    assert says in fault.message, line(fault)
    assert remedy in fault.remedy, line(fault)
    assert "swordfish" not in line(fault)


@pytest.mark.parametrize(
    "config",
    [
        {"url": "HTTPS://a.example"},
        {"url": "https://b\u00fccher.example:8443/a b?q=\u00e9#x"},
        {"url": "http://[::1]:80/"},
        {"url": "https://[fe80::1%25eth0]/"},
        {"url": "https://a.example:000080/"},
        {"url": "http://a.example?next=http://u:p@b.example/"},
        {"url": "{{ input.scheme }}://a.example"},
        {"url": "http://a.example:{{ input.port }}/"},
        {"connection": "shop", "url": "/orders?after=1"},
        {**URL, "headers": {"X-A": " a\tb ", "X-B": 5, "X-C": None, "X-D": "\u00fc"}},
        {**URL, "auth": {"type": "api_key", "key": "k\n", "in": "query", "name": "api key"}},
    ],
)
def test_a_request_that_can_be_sent_is_no_fault(config: dict[str, Any]) -> None:
    accepted(with_config("http", config))


def database(sql: str, parameters: Any = None, address: str = "sqlite:////tmp/a.db", **config: Any) -> dict[str, Any]:
    return with_config("database", {"connection_string": address, "sql": sql, "parameters": parameters, **config})


ANYWHERE, POSTGRES, MYSQL = LATER, "postgresql://u@h/d", "mysql://u@h/d"


@pytest.mark.parametrize(
    ("definition", "place", "says", "remedy"),
    [
        (database("select :id", {"di": 1}), "parameters", "no value for 'id'", "add it"),
        (database("select :id", {"id": LATER, "x": 1}), "parameters", "'x' given, but the SQL does not use it", "take"),
        (database("select 1 where a = ':id'", {"id": 1}), "parameters", "'id' given", "outside quotes"),
        (database("select ?, ?", [LATER]), "parameters", "has 2 placeholders, but the list has 1 value", "one value"),
        (database("select ?", {"id": 1}), "sql", "`parameters` is a mapping", "%(name)s or :name"),
        (database("select :id", []), "sql", "`parameters` is a list", "%s or ?"),
        (database("select :a, %(a)s", {"a": 1}), "sql", "mixes %(name)s and :name", "use one of them"),
        (database("select $1", [1], POSTGRES), "sql", "a placeholder of the database's own", "%s or ?"),
        (database("select 1; select :id"), "parameters", "statement 2 has the placeholder :id", "give its value"),
        (database("select 1 where a = ?", None, POSTGRES), "parameters", "has the placeholder ?", "give its value"),
        (database("select 1 where a in (%s)", None, MYSQL), "parameters", "the placeholder %s", "give its value"),
        (database("select a + :id", None, ANYWHERE), "parameters", "has the placeholder :id", "give its value"),
        (database("select 1 where a like :id", None, POSTGRES), "parameters", "the placeholder :id", "give its value"),
        (database("insert into t values (1, :id)", None, POSTGRES), "parameters", "placeholder :id", "give its value"),
        (database("select json_object('a':b, 'c': :d)", None, POSTGRES), "parameters", "placeholder :d", "give"),
        (database("select 1 where a = ?-1", None, MYSQL), "parameters", "has the placeholder ?", "give its value"),
        (database("select $1", None, POSTGRES), "parameters", "has the placeholder $1", "give its value"),
        (database("select :id", None, ANYWHERE), "parameters", "has the placeholder :id", "give its value"),
        (database("begin; select 1; commit"), "sql", "(begin) begins or ends a transaction", "transaction: false"),
        (database("-- nothing"), "sql", "holds no statement", "write at least one"),
        (database("select 1", None, "oracle://u@h/d"), "connection_string", "must begin with sqlite:///", "write"),
        (database("select 1", None, "postgresql://h/d"), "connection_string", "names no user", "USER:PASSWORD"),
        (
            database("select 1", None, "mysql://u:p@h/d?local_infile=1"),
            "connection_string",
            "is not allowed",
            "allowed",
        ),
    ],
)
def test_sql_that_cannot_run_is_told_before_it_does(
    definition: dict[str, Any], place: str, says: str, remedy: str
) -> None:
    fault = faults(definition)[0]
    assert (fault.path, fault.code) == (f"tasks[0].config.{place}", "value")
    assert says in fault.message, line(fault)
    assert remedy in fault.remedy, line(fault)


def test_a_connection_string_beside_a_connection_is_judged_no_further() -> None:
    fault = only(with_config("database", {"connection": "shop", "connection_string": "nowhere", "sql": "select 1"}))
    assert fault.path == "tasks[0].config.connection_string"
    assert (fault.message, fault.remedy) == ("give connection or connection_string, not both", "take one of them out")


@pytest.mark.parametrize(
    "definition",
    [
        database("select json_object('id':id), json_object('a' :b), json_object(\"c\":1, k:v) from t", None, POSTGRES),
        database("select json_objectagg(k:v), json_object(f(x):y, a[1]:z, 1:id, $$d$$:e) from t", None, POSTGRES),
        database("select json_object('id':id) from t", None, ANYWHERE),
        database("select (?- line), (?| line), # path, f(1,?-line) from t where ?- line", None, POSTGRES),
        database("explain (generic_plan) select * from t where id = $1", None, POSTGRES),
        database("select '12:30', 'a ? %s', \"x:y\" -- :no\n from t /* :no */ where a = :a", {"a": 1}),
        database("select '12:30', 'a ? %s', \"x:y\" -- :no\n from t /* :no */"),
        database("select x::date, a[1:n], $$ :no $$, data ? 'key', 5 %s, 5 % s", None, POSTGRES),
        database("select x::date, '{}'::jsonb ? :key", {"key": "k"}, POSTGRES),
        database("select 'a\\' :no' # :no", None, MYSQL),
        database("create procedure p() begin l1:loop leave l1; end loop; end", None, MYSQL),
        database("prepare p as select $1", None, POSTGRES, transaction=False),
        database("select 'a\\' :x'", None, ANYWHERE),
        database("select 1 where a in (:ids)", {"ids": [1, 2]}),
        database("select 1 where a in (:ids)", {"ids": LATER}),
        database("select :a", LATER),
        database("begin; commit", transaction=LATER),
        database("select 1", None, "postgresql://u:{{ secrets.p }}@h/d"),
        with_config("database", {"connection": "shop", "sql": "select :a", "parameters": {"a": LATER}}),
    ],
)
def test_sql_that_may_run_is_no_fault(definition: dict[str, Any]) -> None:
    accepted(definition)


def test_each_fault_of_sql_is_told_with_those_of_other_fields() -> None:
    config = {"connection_string": "x", "sql": "select :a, ':b'", "parameters": {"b": 1}, "fetch": "most"}
    found = [(fault.path.rpartition(".")[2], fault.message) for fault in faults(with_config("database", config))]
    assert [place for place, _ in found] == ["connection_string", "parameters", "parameters", "fetch"]
