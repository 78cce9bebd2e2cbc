"""Every family has its page and every page its family; the settings that pages name are there with those defaults."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import models
from models.core.base import GenerativeModel

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "models"
OVERVIEW = ROOT / "docs" / "models.md"
FAMILIES = sorted(file.name for file in pkgutil.iter_modules(models.__path__) if not file.ispkg)
CELL = re.compile(r"`([^`]+)`")


def config_of(name):
    module = importlib.import_module(f"models.{name}")
    kinds = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, GenerativeModel)]
    return next(kind for kind in kinds if kind.__module__ == module.__name__).Config


def settings_of(page):
    """Return the rows of the tables of settings: names, and the default of each as written."""
    found, inside = [], False
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        inside = line.startswith("|") and (inside or cells[0] == "setting")
        if inside and CELL.match(cells[0]):
            names = CELL.findall(cells[0])
            defaults = [cells[1]] if len(names) == 1 else cells[1].split(", ")
            found.append((names, defaults))
    return found


def value_of(config, path):
    value = config()
    for part in path.split("."):
        assert part in type(value).model_fields, f"there is no setting {path!r}"
        value = getattr(value, part)
    return value


def as_number(text):
    try:
        return float(text.strip("`").replace(",", ""))
    except ValueError:
        return None


def test_every_family_has_its_page_and_every_page_its_family():
    assert sorted(page.stem for page in PAGES.glob("*.md")) == FAMILIES


def test_the_overview_links_every_page_once():
    linked = re.findall(r"^\| \[`(\w+)`\]\(models/(\w+)\.md\) \|", OVERVIEW.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(linked) == [(name, name) for name in FAMILIES]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_page_is_named_short_and_says_what_the_family_cannot_do(name):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    assert lines[0].replace("`", "") == f"# {name}"
    assert 15 <= len(lines) <= 60
    words = page.lower()
    assert "choose it" in words
    assert "cannot" in words
    assert not re.search(r"\b(MEASURED|TODO|FIXME|XXX)\b", page)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_settings_of_a_page_are_there_with_their_defaults(name):
    config = config_of(name)
    rows = settings_of((PAGES / f"{name}.md").read_text(encoding="utf-8"))
    assert rows, "a page has a table of settings"
    for names, defaults in rows:
        values = [value_of(config, path) for path in names]
        assert len(names) == len(defaults), f"{names}: {len(defaults)} defaults"
        for path, value, told in zip(names, values, defaults, strict=True):
            number = as_number(told)
            if number is not None:
                assert value == number, f"{path} is {value}, the page says {told}"
            elif isinstance(value, str):
                assert told.startswith(f"`{value}`"), f"{path} is {value!r}, the page says {told}"
