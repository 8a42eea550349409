"""I1: which passwords are taken, and what their hashes cost."""

import re

import pytest

from millrace.auth.logins.passwords import Passwords, check_password
from millrace.core.errors import InvalidRequest

EMAIL = "ada.lovelace@example.com"


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short",
        "elevenchars",
        "x" * 1_025,
        "password1234",
        "P@ssw0rd1234",
        "Passwort123!",
        "qwertyuiop12",
        "QWERTZUIOPasdf",
        "123456789012",
        "abcdefghijkl",
        "lkjhgfdsamnbvcxz",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "iloveyouiloveyou",
        "Summer2024!!!",
        "letmeinletmein1",
        "correcthorsebatterystaple",
        EMAIL,
        "Ada.Lovelace",
        "ADA LOVELACE",
        "millraceadmin2026",
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_password(password, EMAIL, "Ada Lovelace")
    (fault,) = refused.value.faults
    assert fault.path == "password"
    assert fault.remedy
    assert password not in fault.message or not password


@pytest.mark.parametrize(
    "password",
    [
        "quiet-harbour-lamp-42",
        "мой длинный пароль",
        "correct horse battery staple",
        "x7Rq2mVt9LpK",
        "839201748265",
        "ä" * 3 + "zq8!Kwpm7f",
    ],
)
def test_others_are_taken(password: str) -> None:
    check_password(password, EMAIL, "Ada Lovelace")


async def test_a_hash_costs_as_much_as_it_should() -> None:
    """RFC 9106, section 4: the second recommended choice, 64 MiB, three passes and four lanes, is the least."""
    hashed = await Passwords().hashed("quiet-harbour-lamp-42")
    parameters = re.match(r"\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$", hashed)
    assert parameters, hashed
    memory, passes, lanes = map(int, parameters.groups())
    assert memory >= 65_536
    assert passes >= 3
    assert lanes >= 4
