"""The masker, for any secret and whatever stands around it: no spelling of the value comes out."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.auth.masking import SecretMasker

CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
SECRETS = st.text(CHARACTERS, min_size=6, max_size=60).filter(lambda value: len(value.strip()) >= 6)
AROUND = st.text(CHARACTERS, max_size=20)


def every_unit(value: str, spelled: str = "04x") -> str:
    raw = value.encode("utf-16-be")
    units = [raw[at] << 8 | raw[at + 1] for at in range(0, len(raw), 2)]
    return "".join(f"\\u{unit:{spelled}}" for unit in units)


def json_text(value: str) -> str:
    return json.dumps(value)[1:-1]


SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "json": json_text,
    "json as it is read": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "json with slashes": lambda value: json_text(value).replace("/", "\\/"),
    "json all escaped": every_unit,
    "json all escaped in upper case": lambda value: every_unit(value, "04X"),
    "json for pages": lambda value: json_text(value).translate({ord(one): every_unit(one) for one in "<>&'+"}),
    "json in json": lambda value: json_text(json_text(value)),
    "json in an address": lambda value: quote(json_text(value), safe=""),
    "an address": lambda value: quote(value, safe=""),
    "a path": quote,
    "a form": quote_plus,
    "lower percents": lambda value: "".join(f"%{byte:02x}" for byte in value.encode()),
    "upper percents": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "a page": html.escape,
    "hexadecimal": lambda value: value.encode().hex(),
}
ESCAPED = {name for name in SPELLINGS if "json" in name}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(secret=SECRETS, before=AROUND, behind=AROUND)
@example(secret="a***bc", before="a", behind="bc")  # the mask itself makes it whole again
@example(secret="%2F%2F", before="%", behind="2F")
@example(secret='\\"\\"\\"', before="", behind='"')
def test_no_spelling_of_a_secret_comes_out(spelling: str, secret: str, before: str, behind: str) -> None:
    spelled = SPELLINGS[spelling](secret)
    if spelling in ESCAPED:
        before = before.rstrip("\\")  # behind one the escape would be none
    masked = SecretMasker([secret]).text(before + spelled + behind)
    assert spelled not in masked
    assert secret not in masked
    assert "***" in masked


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@given(secret=SECRETS, before=st.binary(max_size=10), behind=st.binary(max_size=10))
def test_no_base64_of_a_text_with_a_secret_can_be_read_back(
    encode: Callable[[bytes], bytes], padded: bool, secret: str, before: bytes, behind: bytes
) -> None:
    """Whatever stands before it, and so at every alignment."""
    encoded = encode(before + secret.encode() + behind).decode()
    encoded = encoded if padded else encoded.rstrip("=")
    masked = SecretMasker([secret]).text(f"Authorization: Basic {encoded}!")
    assert "***" in masked
    kept = masked.removeprefix("Authorization: Basic ").removesuffix("!")
    assert len(encoded) - len(kept.replace("***", "")) >= len(secret.encode()) * 8 // 6 - 2


@given(lines=st.lists(st.text(CHARACTERS, min_size=8, max_size=40), min_size=2, max_size=6))
def test_no_line_of_a_secret_of_many_lines_comes_out(lines: list[str]) -> None:
    value = "\n".join(lines)
    masker = SecretMasker([value])
    for line in value.splitlines():
        stripped = line.strip()
        if len(stripped) >= 8 and not stripped.startswith("-----"):
            assert stripped not in masker.text(f"[{line}]")


@given(secrets=st.lists(SECRETS, min_size=2, max_size=4), around=st.lists(AROUND, min_size=5, max_size=5))
def test_among_several_secrets_none_comes_out(secrets: list[str], around: list[str]) -> None:
    text = "".join(part + secret for part, secret in zip(around, secrets, strict=False))
    masked = SecretMasker(secrets).text(text)
    assert not [secret for secret in secrets if secret in masked and secret not in "***"]


@given(secret=SECRETS, spelling=st.sampled_from(sorted(SPELLINGS)), before=AROUND, at=st.integers(0, 400))
def test_no_cut_goes_through_a_secret(secret: str, spelling: str, before: str, at: int) -> None:
    masker = SecretMasker([secret])
    text = before.rstrip("\\") + SPELLINGS[spelling](secret) + " behind it"
    at = min(at, len(text))
    first, last = masker.around(text, at)
    assert first <= at <= last
    assert (first, last) == (at, at) or last - first >= 6
    for part in (text[:first], text[last:]):
        assert SPELLINGS[spelling](secret) not in masker.text(part)
