"""One measured number: apart, so that what else is known of a cell does not make its figures old."""

from pydantic import BaseModel


class Figure(BaseModel):
    """One number of a generator's rows.

    Attributes:
        value: The number; None where it could not be computed.
        floor: What fresh real rows score by the same computation.
        over: The value over the floor, both on equally many rows; None where that means nothing.
        note: Why there is no value.
    """

    value: float | None = None
    floor: float | None = None
    over: float | None = None
    note: str = ""
