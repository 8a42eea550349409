"""Whether the rules of this installation allow a command: said here alone, when it is saved and before it runs.

Under `allow-listed` a command is a program of the list with its arguments. Which programs stand there decides what that
is worth: one that starts others (a shell, `find`, `env`) allows all of them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from millrace.core.values import JsonObject
from millrace.ports.confinement import ShellPolicy, ShellRules
from millrace.ports.runner import ConfigFault
from millrace.runners.launching import SHELL
from millrace.runners.limits import TaskLimits, amount_text
from millrace.runners.rules import place_of, program_at

LOADED = re.compile(
    r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|LOCPATH|NLSPATH|MALLOC_.*|PATH|ENV|BASH.*|SHELL|SHELLOPTS|IFS|PS4|PROMPT_COMMAND"
    r"|PYTHON.*|NODE_.*|NPM_.*|PERL.*|RUBY.*|GEM_.*|BUNDLE_.*|LUA_.*|PHP.*|AWK.*|TCL.*|CLASSPATH|JAVA_.*|JDK_.*"
    r"|_JAVA_OPTIONS|DOTNET_.*|CORECLR_.*|OPENSSL_.*|GIT_.*|SSH_.*|RSYNC_.*|TAR_.*|MAKEFLAGS|LESS.*|.*EDITOR|VISUAL"
    r"|.*PAGER|BROWSER|HOME|XDG_.*|.*_HOME|CURLRC|WGETRC|KUBECONFIG|AWS_CONFIG_FILE|DOCKER_.*|ANSIBLE_.*",
    re.ASCII | re.DOTALL | re.IGNORECASE,
)
"""Variables by which programs and their loader find more code to run, other programs, or files that name such. No list
has all of them: what a program heeds is part of what it means to allow it."""


class Refused(Exception):
    """A rule of this installation forbids the command; the message names the setting."""


class Judge:
    def __init__(self, task_type: str, rules: ShellRules) -> None:
        self.task_type = task_type
        self._rules = rules

    def program(self, wanted: str, env: Mapping[str, Any]) -> str:
        """The program to run, as a name to look for or a path. Raises `Refused`."""
        rules = self._rules
        if rules.policy is ShellPolicy.OFF:
            raise Refused(f"{self.task_type} tasks are switched off here; MILLRACE_SHELL_POLICY=on switches them on")
        if rules.user_fault is not None:
            raise Refused(rules.user_fault)
        if rules.policy is ShellPolicy.ON:
            return wanted
        named = program_at(wanted, rules.path) if wanted.startswith("/") or "/" not in wanted else None
        if named is None or named not in rules.programs:
            raise Refused(self._not_listed(wanted))
        for name in env:
            if LOADED.fullmatch(name):
                raise Refused(
                    f"the variable {name} may have a program run other code than its own, and MILLRACE_SHELL_POLICY is "
                    "allow-listed; leave it out of `env`"
                )
        return str(named)

    def limits(self, wanted: TaskLimits) -> dict[str, int]:
        """What a command may use at most. Raises `Refused` for a task that asks for more than there is."""
        allowed, asked = self._rules.limits, wanted.asked
        for name, amount in asked.items():
            if amount > allowed.get(name, amount):
                most = amount_text(name, allowed[name])
                raise Refused(
                    f"limits.{name} is {amount_text(name, amount)}, and MILLRACE_SHELL_LIMITS allows at most {most}; "
                    "ask for less, or raise it there"
                )
        return {**allowed, **asked}

    def objections(self, field: str, program: object, config: JsonObject) -> Iterator[ConfigFault]:
        """What a worker with the same settings would refuse; whoever saves is told. `program` is `None` if unknown."""
        env = config.get("env")
        if isinstance(program, str) and "{{" not in program:
            try:
                self.program(program, env if isinstance(env, dict) else {})
            except Refused as refused:
                yield _fault(field, refused)
        try:
            self.limits(TaskLimits.model_validate(config.get("limits") or {}))
        except Refused as refused:
            yield _fault("limits", refused)
        except ValidationError:
            return  # a fault of the definition, or an expression, which has no value yet

    def _not_listed(self, wanted: str) -> str:
        if wanted == SHELL and place_of(SHELL) not in self._rules.programs:
            what = "a command written as text is read by /bin/sh, which MILLRACE_SHELL_ALLOWED does not name"
            return f"{what}; write the program and its arguments as a list, or add /bin/sh to the setting"
        return (
            f"{wanted[:100]} is no program that MILLRACE_SHELL_ALLOWED names, and MILLRACE_SHELL_POLICY is "
            "allow-listed; add it to the setting, or use another"
        )


def _fault(field: str, refused: Refused) -> ConfigFault:
    message, _, remedy = str(refused).rpartition("; ")
    return ConfigFault(field, message, remedy)
