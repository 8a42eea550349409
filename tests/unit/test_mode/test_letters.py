"""What the mail of test mode says: everything that users wrote stays what it is, text of bounded length."""

from html.parser import HTMLParser

import pytest

from millrace.app.mails.content import Content, message_of, subject_of
from millrace.app.test_mode.letters import CUT, LARGEST_PART, Fired, letter
from millrace.core.values import JsonValue
from millrace.net.messages import composed
from millrace.ports.mail import Mailbox

NASTY = '</pre><script>alert("x")</script>&amp;\r\nBcc: all@example.com\u2028'


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.said += data


def told(*, name: str = "clock", data: JsonValue = None, starts: bool = False) -> Content:
    return letter(
        Fired(
            trigger=name,
            type="cron",
            workflow=name,
            workflow_id="019e2f60-0000-7000-8000-000000000001",
            time="2026-03-01T13:00:00.000000Z",
            data=data,
            config=data,
            input=data,
            starts=starts,
        )
    )


def test_names_and_values_of_users_are_text_in_html() -> None:
    content = told(name=NASTY, data={NASTY: [NASTY]})
    page = Page(content.html)
    assert set(page.tags) == set(Page(told().html).tags)
    assert page.said.count('alert("x")') == 2, "in the two names"
    assert page.said.count('alert(\\"x\\")') == 6, "in JSON, twice a part"


def test_a_name_cannot_begin_another_header() -> None:
    content = told(name=NASTY)
    message = message_of("1", "ops@example.com", content.stored(), Mailbox.parse("robot@example.com"))
    head = composed(message).partition(b"\r\n\r\n")[0].decode()
    assert "\nBcc" not in head
    assert content.subject.startswith('[Millrace test mode] </pre><script>alert("x")</script>&amp; Bcc: all@')
    assert content.subject.isprintable()


def test_names_stay_on_their_line_of_the_plain_text() -> None:
    lines = told(name=NASTY).text.splitlines()
    assert [line.partition(":")[0] for line in lines[2:6]] == ["Trigger", "Type", "Workflow", "Time"]


def test_its_size_is_bounded() -> None:
    content = told(name="n" * 10_000, data={"much": "m" * 300_000})
    assert len(content.subject) <= 200
    assert len(content.text) < 3 * LARGEST_PART + 3_000
    assert content.text.count(CUT) == 5
    assert len(told(data={"much": "&" * 300_000}).html) < 3 * 5 * LARGEST_PART + 3_000


@pytest.mark.parametrize(("starts", "said"), [(False, "No run starts."), (True, "A run starts as well.")])
def test_it_says_whether_a_run_starts(starts: bool, said: str) -> None:
    content = told(starts=starts)
    assert said in content.text
    assert said in content.html


def test_a_long_subject_is_cut() -> None:
    assert subject_of("a" * 300) == "a" * 199 + "…"
    assert subject_of(" a\n\n b\x00 ") == "a b"
