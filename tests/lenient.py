"""A policy of one gate, for tests of what is not about gates."""

from pathlib import Path

LENIENT = """\
name: lenient
purpose: tests of what is not about gates
gates:
  validity.schema_violations: { at_most: 0.05 }
"""


def write_lenient(root: Path) -> None:
    """Put the policy `lenient` into a project."""
    (root / "policies").mkdir(exist_ok=True)
    (root / "policies" / "lenient.yaml").write_text(LENIENT, encoding="utf-8")
