"""What all configs of task types have in common.

A config that is rendered holds secrets, so no error about it may show what was given: not the message, and not the
traceback that a log gets. pydantic cuts a value in its middle, and what is cut is not recognized as a secret any more.
"""

from pydantic import BaseModel, ConfigDict


class TaskConfig(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
