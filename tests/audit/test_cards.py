"""Cards for a hub: metadata that any YAML reader takes, and words made of the public edition only."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.report.cards import dataset_card, model_card
from tests.audit.documents import HOSTILE, document, model, rich
from tests.audit.test_public_report import PLANTED, planted


def metadata(card):
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def body(card):
    return card.split("---\n", 2)[2]


def test_the_dataset_card_says_what_the_rows_are():
    card = dataset_card(rich(), "people-v3", "cc-by-4.0")
    told = metadata(card)
    assert told["license"] == "cc-by-4.0" and told["pretty_name"] == "people-v3 (synthetic)"
    assert {"synthetic", "tabular"} <= set(told["tags"])
    assert told["size_categories"] == ["1K<n<10K"]
    assert told["configs"] == [{"config_name": "default", "data_files": "synthetic.parquet"}]
    for said in (
        "**Synthetic data.**",
        "## What was not shown",
        "## Intended use",
        "## Do not use for",
        "## How to load",
        "**PASS.** Every demand that was not waived was met.",
        "Waived until 1 December 2026: Detection.",
        "Not asked: privacy.canaries.",
        "| sha256 of the rows | " + "a" * 64,
    ):
        assert said in card, said


def test_without_a_license_none_is_named():
    assert "license" not in metadata(dataset_card(rich(), "people-v3"))


def test_the_model_card_speaks_of_the_model():
    card = model_card(rich(), "people-v3")
    told = metadata(card)
    assert told["datasets"] == ["people-v3"] and "library_name" not in told
    assert "bayesian-network" in told["tags"] and told["metrics"] == ["roc_auc"]
    assert "It shows nothing about the model itself" in card and "lookalike sample people-v3" in card


@pytest.mark.parametrize("card", [dataset_card, model_card])
def test_nothing_planted_reaches_a_card(card):
    shown = card(planted(), "people-v3")
    for each in PLANTED:
        assert each not in shown, each


@pytest.mark.parametrize("card", [dataset_card, model_card])
def test_a_card_needs_released_rows(card):
    with pytest.raises(ValueError, match="released"):
        card(document((model(verdict="refused"),)), "people-v3")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_words(text):
    made = document(names=(text, f"{text} again"))
    card = dataset_card(made, text, text)
    assert set(metadata(card)) == set(metadata(dataset_card(rich(), "people-v3", "mit")))
    assert metadata(card)["license"].startswith(metadata(card)["pretty_name"][:3])
    assert "<script" not in body(card) and "<img" not in body(card) and "</style" not in body(card)
    assert "\u202e" not in card and "\x00" not in card
    assert max(map(len, card.splitlines())) < 2_000


@given(st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_release_name_is_valid_yaml(text):
    for card in (dataset_card(rich(), text, text), model_card(rich(), text)):
        assert isinstance(metadata(card), dict)
