"""What users look like in what they did."""

from typing import Final

from pydantic import BaseModel, Field

from millrace.core.values import JsonObject

USER_EXAMPLE: Final[JsonObject] = {"id": "019e2f5f-0000-7000-8000-000000000001", "name": "Ada Lovelace"}


class UserRef(BaseModel):
    """A user who did something. Compare by `id`; names can change, and need not be unique."""

    id: str = Field(examples=["019e2f5f-0000-7000-8000-000000000001"])
    name: str = Field(
        description="What the user is called now; the id again where no such user exists.",
        examples=["Ada Lovelace"],
    )
