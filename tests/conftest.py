"""What every test may ask for."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real public tables, or a skip that says why."""
    if not SHARED.is_dir():
        pytest.skip("the real tables in ../shared/data are not on this machine")
    return SHARED
