"""The cards of a release: what its rows and its model are, in Markdown that pages of data sets and models show."""

from pathlib import Path

from audit.report.cards import dataset_card, model_card
from audit.report.document import Document
from pipeline.workspace import write_text

# The card of the rows has the name that pages of data sets show first.
CARDS = {"README.md": dataset_card, "MODEL_CARD.md": model_card}


def write_cards(audit: Path, release: str, folder: Path) -> None:
    """Write both cards from an audit, which they show without anything that only few real rows hold."""
    document = Document.from_json(audit.read_text(encoding="utf-8"))
    for name, card in CARDS.items():
        write_text(folder / name, card(document, release))
