"""What every test may ask for."""

from pathlib import Path

import pytest

from tests.tables import ABSENT, SHARED


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real public tables, or a skip that says why."""
    if not SHARED.is_dir():
        pytest.skip(ABSENT)
    return SHARED
