"""A policy of one gate, for tests of what is not about gates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

LENIENT = """\
name: lenient
purpose: tests of what is not about gates
gates:
  fidelity.coverage: { at_least: 0.1 }
"""


SOON = (datetime.now(UTC).date() + timedelta(days=300)).isoformat()
NOBODY = {"reason": "a test of something else", "author": "a test", "expires": SOON}
# The gates that every policy has, whatever it says.
WAIVED = dict.fromkeys(
    (
        "validity.mined_rules",
        "validity.unseen_combinations",
        "privacy.exact_copies",
        "privacy.membership_epsilon",
        "privacy.membership_outliers",
        "privacy.attribute_inference",
        "privacy.attribute_inference_outliers",
        "privacy.key_copies",
    ),
    NOBODY,
)


def write_lenient(root: Path) -> None:
    """Put the policy `lenient` into a project."""
    (root / "policies").mkdir(exist_ok=True)
    (root / "policies" / "lenient.yaml").write_text(LENIENT, encoding="utf-8")
