"""Names and free text of real people: found where they were copied, not where chance or nothing explains them."""

import numpy as np
import pandas as pd
import pytest

from audit.core import Estimate, Evidence, Names
from audit.privacy.key_copies import KeyCopies
from tests.audit.conftest import Real


def asked(real: Real, *names: Names) -> Estimate:
    return KeyCopies(KeyCopies.Config())(
        Evidence(real.train, real.holdout, real.fresh, names=names), np.random.default_rng(1)
    )


def people(first: int, count: int = 4_000) -> pd.Series:
    return pd.Series([f"Person {first + place} of the town" for place in range(count)])


@pytest.mark.parametrize(("share", "verdict"), [(0.0, "none"), (0.01, "found"), (1.0, "found")])
def test_copied_names_are_found(real: Real, share: float, verdict: str) -> None:
    copied = round(4_000 * share)
    made = pd.concat([people(0, copied).str.upper() + " ", people(90_000, 4_000 - copied)])
    found = asked(real, Names("name", people(0), people(10_000), made))
    assert found.value == pytest.approx(share, abs=1e-9)
    assert found.interval is not None
    assert (found.interval.low > 0.002) == (verdict == "found")
    assert found.interval.high <= 0.005 or verdict == "found"


def test_numbers_that_everybody_has_give_nothing_away(real: Real) -> None:
    order = np.random.default_rng(2).permutation(np.arange(1_000, 9_000))
    found = asked(
        real, Names("id", pd.Series(order[:4_000]), pd.Series(order[4_000:]), pd.Series(np.arange(1_000, 5_000)))
    )
    assert found.interval is not None and found.interval.low < 0.002


def test_nothing_to_copy_is_nothing_copied(real: Real) -> None:
    empty = Names("name", people(0), people(10_000), pd.Series([None] * 4_000, dtype=object))
    for found in (asked(real), asked(real, empty)):
        assert (found.value, found.interval and found.interval.high) == (0.0, 0.0)
