"""Rules that every row must keep, said in plain words: `if relationship = Husband then sex = Male`."""

from pydantic import BaseModel, ConfigDict


class Rule(BaseModel):
    """One rule over the columns of a row.

    Attributes:
        text: The rule as it was written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
