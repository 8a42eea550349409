"""S4: what a request says: forms with files, byte for byte, and everything that only looks like one."""

from typing import Any

import pytest

from millrace.triggers.webhook.bodies import File, found_at, headers_for_run, read_body, read_pairs
from millrace.triggers.webhook.multipart import Malformed, Part, parts_of

TYPE = "multipart/form-data; boundary=xyz"


def form(*parts: bytes, end: bytes = b"\r\n--xyz--\r\n") -> bytes:
    return b"".join(b"--xyz\r\n" + part + (b"" if part is parts[-1] else b"\r\n") for part in parts) + end


def field(name: str, content: bytes, more: str = "", *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"{more}', *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


@pytest.mark.parametrize(
    "content",
    [b"", b"\r\n", b"\r\n\r\n", b"a--xyz", b"-- xyz\r\n", b"\n--xyz\n", bytes(range(256)), b"\r", b"a" * 100_000],
)
def test_contents_come_out_as_they_went_in(content: bytes) -> None:
    body = form(field("a", content, '; filename="a.bin"', "Content-Type: image/png"), field("b", b"2"))
    assert parts_of(body, TYPE) == [Part("a", "a.bin", "image/png", content), Part("b", None, "text/plain", b"2")]


@pytest.mark.parametrize(
    "content_type", [TYPE, 'multipart/form-data; boundary="xyz"', "multipart/form-data;BOUNDARY=xyz"]
)
def test_boundaries(content_type: str) -> None:
    body = b"preamble\r\n" + form(field("a", b"1"), end=b"\r\n--xyz--\r\nepilogue")
    assert [part.content for part in parts_of(body, content_type)] == [b"1"]


@pytest.mark.parametrize(
    ("more", "filename"),
    [
        ('; filename="a;b.txt"', "a;b.txt"),
        ('; filename="a\\"b.txt"', 'a"b.txt'),
        ('; filename="a%22b%0D%0A.txt"', 'a"b\r\n.txt'),
        ("; filename=plain.txt", "plain.txt"),
        ('; filename="größe.txt"', "größe.txt"),
        ('; FILENAME="x"', "x"),
        ("", None),
    ],
)
def test_names_of_files(more: str, filename: str | None) -> None:
    assert parts_of(form(field("a", b"1", more)), TYPE)[0].filename == filename


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", TYPE),
        (b"--xyz--", "multipart/form-data"),
        (b"--xyz--", f"multipart/form-data; boundary={'x' * 71}"),
        (form(field("a", b"1"), end=b""), TYPE),
        (form(field("a", b"1"), end=b"\r\n--xy--"), TYPE),
        (form(b"no head"), TYPE),
        (form(b"Content-Type: text/plain\r\n\r\n1"), TYPE),
        (form(b"Content-Disposition: attachment; name=a\r\n\r\n1"), TYPE),
        (form(b"Content-Disposition: form-data\r\n\r\n1"), TYPE),
        (form(b"X: " + b"x" * 9_000 + b"\r\n\r\n1"), TYPE),
        (form(*[field(str(number), b"") for number in range(201)]), TYPE),
        (b"--xyzzy\r\n" + field("a", b"1") + b"\r\n--xyzzy--", TYPE),
    ],
)
def test_what_is_no_form(body: bytes, content_type: str) -> None:
    with pytest.raises(Malformed):
        read_body(body or b"x", content_type)


def test_fields_and_files_are_set_apart() -> None:
    body = form(
        field("a", b"1"),
        field("a", "ü".encode()),
        field("f", b"x", '; filename="f.txt"', "Content-Type: text/csv"),
        field("empty", b"", '; filename=""'),
    )
    read = read_body(body, TYPE)
    assert read.value == {"a": ["1", "ü"]}
    assert read.files == (File("f", "f.txt", "text/csv", b"x"),)


def test_a_form_has_no_more_than_twenty_files() -> None:
    files = [field(str(number), b"x", '; filename="f"') for number in range(21)]
    with pytest.raises(Malformed, match="20 files"):
        read_body(form(*files), TYPE)


def test_a_field_that_is_no_text_is_refused() -> None:
    with pytest.raises(Malformed, match="UTF-8"):
        read_body(form(field("a", b"\xff")), TYPE)


@pytest.mark.parametrize(
    ("path", "found"),
    [("a.b", "1"), ("l.1.c", "x"), ("f", "2.5"), ("t", "true"), ("a", None), ("l", None), ("l.9", None), ("n", None),
     ("l.-1", None), ("s.0", None), ("nothing.at.all", None), ("l.²", None)],
)  # fmt: skip
def test_what_stands_in_a_body(path: str, found: str | None) -> None:
    body: Any = {"a": {"b": 1}, "l": [0, {"c": "x"}], "f": 2.5, "t": True, "n": None, "s": "text"}
    assert found_at(body, path) == found


def test_headers_go_on_without_credentials_and_within_bounds() -> None:
    given = {
        "authorization": "a",
        "cookie": "b",
        "proxy-authorization": "c",
        "x-api-key": "d",
        "x-own": "e",
        "x-f": "f",
    }
    assert headers_for_run(given, frozenset({"x-own"})) == {"x-f": "f"}
    assert len(headers_for_run({f"x-{number}": "" for number in range(200)}, frozenset())) == 100
    assert (
        sum(map(len, map(str, headers_for_run({f"x-{n}": "y" * 1000 for n in range(99)}, frozenset()).values())))
        < 32_768
    )


def test_a_query_is_bounded() -> None:
    assert read_pairs("a=1&a=2&b=&c") == {"a": ["1", "2"], "b": "", "c": ""}
    with pytest.raises(Malformed, match="1000"):
        read_pairs("a&" * 1001)
    with pytest.raises(Malformed, match="UTF-8"):
        read_pairs("a=%ff")
