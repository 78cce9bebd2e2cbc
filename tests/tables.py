"""Where the real public tables of the tests lie: beside the project, or in the folder that LOOKALIKE_TABLES names."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("LOOKALIKE_TABLES") or ROOT.parent / "shared" / "data")
ADULT = SHARED / "adult"
ABSENT = f"the real public tables are not in {SHARED} (LOOKALIKE_TABLES names another folder)"
needs_adult = pytest.mark.skipif(not ADULT.is_dir(), reason=ABSENT)
