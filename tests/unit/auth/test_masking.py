"""The masker: every form that a secret takes is found, wherever it stands, however many secrets there are."""

import base64
import json
import random
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest

from millrace.auth import masking
from millrace.auth.masking import SecretMasker

SECRET = 'pä$$/wörd "quoted"\\ & more+'
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 behind one": lambda value: base64.b64encode(b"u" + value.encode()).decode(),
    "base64 of a login": lambda value: base64.b64encode(f"me:{value}".encode()).decode(),
    "base64 between others": lambda value: base64.b64encode(f"user:{value}, and so on".encode()).decode(),
    "base64 for addresses": lambda value: base64.urlsafe_b64encode(b"??>" + value.encode()).decode().rstrip("="),
    "hexadecimal": lambda value: value.encode().hex(),
    "upper hexadecimal": lambda value: value.encode().hex().upper(),
    "a query": lambda value: urlencode({"token": value}),
    "a path": lambda value: quote(value),
    "a part of a path": lambda value: quote(value, safe=""),
    "encodeURIComponent": lambda value: quote(value, safe="!'()*"),
    "encodeURI": lambda value: quote(value, safe="!'()*;,/?:@&=+$#"),
    "a form": quote_plus,
    "lower percents": lambda value: re.sub("%..", lambda found: found[0].lower(), quote(value, safe="")),
    "json": json.dumps,
    "json as it is read": lambda value: json.dumps(value, ensure_ascii=False),
    "json with slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "json for pages": lambda value: json.dumps(value).replace("&", "\\u0026"),
    "json in json": lambda value: json.dumps(json.dumps({"password": value})),
    "a shell": shlex.quote,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked(form: str) -> None:
    masker = SecretMasker([SECRET])
    encoded = FORMS[form](SECRET)
    text = masker.text(f"before {encoded} behind")
    assert "***" in text
    assert text.startswith("before ")
    assert text.endswith(" behind")
    masked = len("before ") + len(encoded) + len(" behind") - (len(text) - len("***"))
    assert masked >= len(SECRET), text


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_masked_among_a_thousand_secrets(form: str) -> None:
    chance = random.Random(7)
    masker = SecretMasker([*(_token(chance) for _ in range(1000)), SECRET])
    few = SecretMasker([SECRET])
    text = f"before {FORMS[form](SECRET)} behind"
    assert masker.text(text) == few.text(text)


def test_many_secrets_mask_what_looking_for_each_of_them_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(11)
    secrets = [_token(chance) for _ in range(300)]
    texts = [
        " ".join(
            chance.choice([_token(chance), chance.choice(secrets), chance.choice(secrets)[:-1]]) for _ in range(30)
        )
        for _ in range(50)
    ]
    masker = SecretMasker(secrets)
    at_once = [masker.text(text) for text in texts]
    monkeypatch.setattr(masking, "FEW_FORMS", 10**9)
    assert at_once == [masker.text(text) for text in texts]
    assert all(secret not in text for secret in secrets for text in at_once)


@pytest.mark.parametrize("secret", ["sesame", "sésam", "seven77", "eight888", "zäöüß9", "a longer one of 25 letters"])
def test_among_many_secrets_one_is_found_wherever_it_stands(secret: str) -> None:
    chance = random.Random(13)
    masker = SecretMasker([*(_token(chance) for _ in range(100)), secret])
    for before in ("", "a", "ab", "abc", "ä", "\ud800", "🐤ab", "abcdefg"):
        for behind in ("", "x", "xy", "xyz"):
            assert masker.text(f"{before}{secret}{behind}") == f"{before}***{behind}"


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    masker = SecretMasker(["abcdefgh", "efghijkl", "fgh-but-longer"])
    assert masker.text("<abcdefghijkl>") == "<***>"
    assert masker.text("<abcdefgh-but-longer>") == "<***>"
    assert masker.text("<abcdefghabcdefgh>") == "<******>"


def test_a_key_of_many_lines_is_masked_line_by_line_also_where_it_was_wrapped() -> None:
    chance = random.Random(3)
    lines = ["-----BEGIN KEY-----", *(chance.randbytes(48).hex() for _ in range(5)), "-----END KEY-----"]
    key = "\n".join(lines)
    masker = SecretMasker([key])
    assert masker.text(f"  {lines[2]}\r") == "  ***\r"
    assert masker.text(lines[0]) == lines[0]
    wrapped = base64.encodebytes(key.encode()).decode().splitlines()
    assert [masker.text(line) for line in wrapped[:-1]] == ["***"] * (len(wrapped) - 1)


def test_a_value_with_a_line_break_at_its_end_is_masked_without_it() -> None:
    assert SecretMasker(["sesame\n"]).text("open sesame!") == "open ***!"


def test_an_address_that_is_a_secret_is_masked_without_its_host_and_query_too() -> None:
    masker = SecretMasker(["https://hooks.example.com/services/T012345/B678?key=abcdefghijklmnop"])
    assert masker.text("POST https://hooks.example.com/services/T012345/B678: 404") == (
        "POST https://hooks.example.com***: 404"
    )
    assert masker.text("?key=abcdefghijklmnop") == "?***"


def test_values_keep_their_shape_and_lose_secrets_in_keys_and_numbers_too() -> None:
    masker = SecretMasker(["8675309", "open-sesame"])
    assert masker.value({"open-sesame": [8675309, 86753091, 8675309.5, True, None, "x8675309"]}) == {
        "***": ["***", 86753091, 8675309.5, True, None, "x***"]
    }


def test_without_secrets_a_value_is_handed_back_as_it_is() -> None:
    value = {"a": ["postgresql://me:password@host/db"]}
    assert SecretMasker().value(value) is value
    assert SecretMasker().shown(value) == {"a": ["postgresql://me:***@host/db"]}


def test_what_was_learned_stays_when_more_is() -> None:
    masker = SecretMasker(["the first one"])
    masker.learn(["the second one"])
    masker.learn(["", "the first one"])
    assert masker.text("the first one, the second one") == "***, ***"


def _token(chance: random.Random) -> str:
    return "".join(chance.choices("abcdefghijklmnopqrstuvwxyzABCDEF0123456789_-", k=chance.randint(6, 40)))


def test_forms_of_nothing_are_none() -> None:
    """One byte has no base64 of its own within that of others, and nothing is everywhere."""
    masker = SecretMasker(["x"])
    assert masker.text("a b") == "a b"
    assert masker.text("axb") == "a***b"
