"""What a command says: decoded, cut into log lines while it runs, and its end kept for the task's output.

Memory is bounded whatever the command writes. It protects two rules: text which leaves a runner can be stored, so bytes
that are no UTF-8 and NUL characters become U+FFFD; and no cut goes through a secret, whose halves nobody would mask.
"""

import codecs
from collections.abc import Iterator

from millrace.ports.runner import LogLevel, LogSink
from millrace.ports.secrets import SecretSpans

LONGEST_LINE = 16 * 1024
"""Characters of one log line; a longer line becomes several."""

LONGEST_RESULT = 1024 * 1024
"""Characters of a last line that is still looked at as a whole."""


class Stream:
    """One stream of a command: hands on lines, keeps the end of the text."""

    def __init__(self, log: LogSink, level: LogLevel, kept: int, secrets: SecretSpans) -> None:
        """`kept`: characters of the end of the text that stay."""
        self._log = log
        self._secrets = secrets
        self._level = level
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._kept = kept
        self._end = ""
        self._read = 0
        self._line = ""
        self._logged = 0
        """Characters of `_line` that the log has already."""
        self._whole = True
        """Whether `_line` has its beginning."""
        self.last_line = ""
        """The last line with anything in it, or its end if it was too long."""
        self.last_line_is_whole = True

    @property
    def text(self) -> str:
        """The end of the text, from behind a secret that would be cut through."""
        cut = max(len(self._end) - self._kept, 0)
        return self._end[self._secrets.around(self._end, cut)[1] :]

    @property
    def truncated(self) -> bool:
        """Whether there was more than `text`."""
        return self._read > self._kept

    def last_lines(self) -> Iterator[str]:
        """Whole lines from the last to the first that is still known."""
        if self.last_line_is_whole:
            yield self.last_line
        lines = self.text.split("\n")
        yield from reversed(lines[1:] if self.truncated else lines)

    def feed(self, raw: bytes, *, final: bool = False) -> None:
        text = self._decoder.decode(raw, final).replace("\0", "\N{REPLACEMENT CHARACTER}")
        self._keep(text)
        *ended, last = text.split("\n")
        for line in ended:
            self._line += line
            self._end_line()
        self._line += last
        if final and self._line:
            self._end_line()
        elif len(self._line) - self._logged > LONGEST_LINE + self._secrets.longest:
            # Of a secret that has only begun, all must have come before the line is cut.
            self._log_full_parts(held_back=self._secrets.longest)
            self._forget_endless()

    def _keep(self, text: str) -> None:
        self._read += len(text)
        self._end += text
        # Cut now and then only, so that each character is copied a few times at most.
        if len(self._end) > 4 * (self._kept + self._secrets.longest):
            self._end = self._end[-(self._kept + self._secrets.longest) :]

    def _end_line(self) -> None:
        if len(self._line) > LONGEST_LINE:
            self._log_full_parts()
        line = self._line.removesuffix("\r")
        rest = line[self._logged :]
        if rest or not self._logged:
            self._log(rest, level=self._level)
        if line and not line.isspace():
            self.last_line, self.last_line_is_whole = line, self._whole
        self._line, self._logged, self._whole = "", 0, True

    def _log_full_parts(self, held_back: int = 0) -> None:
        while len(self._line) - self._logged > LONGEST_LINE + held_back:
            before, behind = self._secrets.around(self._line, self._logged + LONGEST_LINE)
            cut = before if before > self._logged else behind
            self._log(self._line[self._logged : cut], level=self._level)
            self._logged = cut

    def _forget_endless(self) -> None:
        """Of a line that does not end, the beginning is given up after a while; the log has it."""
        if len(self._line) > LONGEST_RESULT:
            self._line = self._line[self._logged :]
            self._logged, self._whole = 0, False
