"""Which of the settings and of what was said about a workflow holds."""

import pytest

from millrace.app.test_mode.instructions import Instance, Instructions, OwnMode, instance_of
from millrace.config import PREFIX, Settings, SettingsError, load_settings
from millrace.config.warnings import setting_warnings

OPS, ME = "ops@example.com", "me@example.com"
MAIL = {"MILLRACE_SMTP_HOST": "mail.example.com", "MILLRACE_SMTP_FROM": "robot@example.com"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("TESTING_MODE", "TESTING_EMAIL_RECIPIENT", "SKIP_WORKFLOW_EXECUTION", *MAIL):
        monkeypatch.delenv(name, raising=False)
    for name in ("TEST_MODE", "TEST_MODE_RECIPIENT", "TEST_MODE_SKIP_EXECUTION"):
        monkeypatch.delenv(f"{PREFIX}{name}", raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("on", "own", "holds"),
    [
        (False, None, None),
        (True, None, Instructions(OPS, skip_execution=True)),
        (True, OwnMode(on=False, recipient=ME), None),
        (False, OwnMode(on=True), Instructions(OPS, skip_execution=True)),
        (False, OwnMode(on=True, recipient=ME), Instructions(ME, skip_execution=True)),
        (True, OwnMode(on=True, skip_execution=False), Instructions(OPS, skip_execution=False)),
    ],
)
def test_what_is_said_about_a_workflow_wins(on: bool, own: OwnMode | None, holds: Instructions | None) -> None:
    assert Instance(on, OPS, skip_execution=True, can_send=True).instructions(own) == holds


def test_what_is_said_is_read_as_it_was_stored() -> None:
    for said in (OwnMode(on=True, recipient=ME, skip_execution=False), OwnMode(on=False)):
        assert OwnMode.read(said.stored()) == said


def test_the_settings_have_second_names(environment: pytest.MonkeyPatch) -> None:
    own = {"TESTING_MODE": "1", "TESTING_EMAIL_RECIPIENT": OPS, "SKIP_WORKFLOW_EXECUTION": "false"}
    for name, value in (MAIL | own).items():
        environment.setenv(name, value)
    assert instance_of(load_settings()) == Instance(on=True, recipient=OPS, skip_execution=False, can_send=True)


def test_to_skip_runs_is_not_to_be_in_test_mode(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SKIP_WORKFLOW_EXECUTION", "true")
    assert instance_of(load_settings()).instructions(None) is None


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        ("MILLRACE_SMTP_HOST", "MILLRACE_SMTP_HOST"),
        ("MILLRACE_SMTP_FROM", "MILLRACE_SMTP_FROM"),
        ("MILLRACE_TEST_MODE_RECIPIENT", "MILLRACE_TEST_MODE_RECIPIENT"),
    ],
)
def test_without_a_recipient_or_a_mail_server_nothing_starts(
    environment: pytest.MonkeyPatch, left_out: str, named: str
) -> None:
    given = MAIL | {"MILLRACE_TEST_MODE": "true", "MILLRACE_TEST_MODE_RECIPIENT": OPS}
    for name, value in given.items():
        if name != left_out:
            environment.setenv(name, value)
    with pytest.raises(SettingsError, match=named):
        load_settings()


@pytest.mark.parametrize(
    ("recipient", "said"),
    [("ops", "is not a mail address"), (f"{'n' * 200} <{'o' * 60}@{'e' * 60}.com>", "at most 320 characters")],
)
def test_a_recipient_is_a_mail_address(recipient: str, said: str) -> None:
    with pytest.raises(SettingsError, match=f"MILLRACE_TEST_MODE_RECIPIENT: .*{said}"):
        instance_of(Settings(test_mode_recipient=recipient))


def test_a_slip_in_the_name_of_such_a_setting_is_told() -> None:
    (told,) = setting_warnings(Settings(), {"MILLRACE_TEST_MODE_RECIPENT": OPS, "MILLRACE_TEST_EXAMPLES": "5"})
    assert "did you mean MILLRACE_TEST_MODE_RECIPIENT?" in told
