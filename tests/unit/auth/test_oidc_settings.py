"""Settings of logins by a provider: what is unsafe or half said is refused at the start, without repeating secrets."""

import pytest

from millrace.auth.oidc.claims import RoleRules, groups_in, person_of
from millrace.auth.permissions import Role
from millrace.config import Settings, SettingsError, load_settings, settings_table

GOOD = {
    "MILLRACE_OIDC_ISSUER": "https://login.example.com/realms/main",
    "MILLRACE_OIDC_CLIENT_ID": "millrace",
    "MILLRACE_OIDC_CLIENT_SECRET": "not to be seen",
    "MILLRACE_PUBLIC_URL": "https://millrace.example.com",
}


def loaded(monkeypatch: pytest.MonkeyPatch, **changed: str) -> Settings:
    for name, value in {**GOOD, **changed}.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_good_ones_are_taken_and_the_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, MILLRACE_OIDC_ROLES="admins=Admin, a=b=viewer", MILLRACE_OIDC_SCOPES=" openid  x ")
    assert settings.oidc_roles == {"admins": "admin", "a=b": "viewer"}
    assert (settings.oidc_scopes, settings.oidc_default_role) == ("openid x", None)
    assert "not to be seen" not in f"{settings!r} {settings.redacted()}"
    by_json = loaded(monkeypatch, MILLRACE_OIDC_ROLES='{"cn=admins,ou=groups": "ADMIN"}')
    assert by_json.oidc_roles == {"cn=admins,ou=groups": "admin"}


def test_one_at_http_is_taken_on_this_machine_when_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"MILLRACE_OIDC_ISSUER": "http://127.0.0.1:8080/", "MILLRACE_OIDC_ALLOW_HTTP": "true"}
    assert loaded(monkeypatch, **here).oidc_issuer == "http://127.0.0.1:8080/"


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("MILLRACE_PUBLIC_URL", "", "MILLRACE_PUBLIC_URL"),
        ("MILLRACE_OIDC_CLIENT_ID", "", "MILLRACE_OIDC_CLIENT_ID"),
        ("MILLRACE_OIDC_CLIENT_SECRET", "hunter", ""),
        ("MILLRACE_OIDC_CLIENT_SECRET", "short", "MILLRACE_OIDC_CLIENT_SECRET"),
        ("MILLRACE_OIDC_ISSUER", "http://login.example.com", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "http://127.0.0.1:8080", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "login.example.com", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "https://ada:hunter2@login.example.com", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "https://login.example.com/?a=b", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "https://login.example.com:0", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_ISSUER", "https://[::1", "MILLRACE_OIDC_ISSUER"),
        ("MILLRACE_OIDC_SCOPES", "email profile", "MILLRACE_OIDC_SCOPES"),
        ("MILLRACE_OIDC_ROLES", "admins", "MILLRACE_OIDC_ROLES"),
        ("MILLRACE_OIDC_ROLES", "admins=root", "MILLRACE_OIDC_ROLES"),
        ("MILLRACE_OIDC_ROLES", '{"admins": 7}', "MILLRACE_OIDC_ROLES"),
        ("MILLRACE_OIDC_ROLES", '{"admins"', "MILLRACE_OIDC_ROLES"),
        ("MILLRACE_OIDC_DEFAULT_ROLE", "admin", "MILLRACE_OIDC_DEFAULT_ROLE"),
    ],
)
def test_what_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str) -> None:
    if not named:
        assert loaded(monkeypatch, **{name: value})
        return
    with pytest.raises(SettingsError) as refused:
        loaded(monkeypatch, **{name: value})
    assert str(refused.value).startswith(f"{named}: ") or f"\n{named}" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_they_stand_together_behind_the_others_in_the_table() -> None:
    fields = [row.field for row in settings_table()]
    places = [place for place, field in enumerate(fields) if field.startswith("oidc_")]
    assert places == [*range(places[0], places[0] + len(places))]
    assert places[0] > fields.index("examples_dir")


RULES = RoleRules("groups", {"a": Role.VIEWER, "b": Role.ADMIN, "c": Role.OPERATOR}, Role.VIEWER)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        (["a", "b"], "admin"),
        (["c", "a"], "operator"),
        ("c", "operator"),
        ([], "viewer"),
        (None, "viewer"),
        (7, "viewer"),
    ],
)
def test_the_highest_group_counts(groups: object, role: str) -> None:
    assert person_of("https://i", {"sub": "x", "groups": groups}, RULES).role == role


def test_a_claim_is_found_by_its_name_or_by_its_path() -> None:
    assert groups_in({"realm_access": {"roles": ["a"]}}, "realm_access.roles") == {"a"}
    assert groups_in({"https://example.com/groups": ["a"]}, "https://example.com/groups") == {"a"}
    assert groups_in({"a.b": ["first"], "a": {"b": ["second"]}}, "a.b") == {"first"}
    assert groups_in({"realm_access": "x"}, "realm_access.roles") == set()
