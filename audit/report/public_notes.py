"""Which notes of an audit are published: those in its own words that quote no value of the rows."""

from collections.abc import Iterable, Mapping

from audit.report.coarse import INTERNAL, SMALLEST_COUNT, figure, sentence

# What follows are numbers that many rows hold, so values of the rows.
VALUES = ", and many rows hold "
# How a fit went; any other figure may be a value of the rows.
OF_A_FIT = frozenset(
    "accuracy best_epoch bic cells components covariance_groups device edges effective_sample_size epochs iterations "
    "leaves log_likelihood log_z_error parameters reproducible rows stopped structure_rows training_loss turns "
    "validation_loss".split()
)
COUNTS_OF_ROWS = frozenset({"rows", "structure_rows"})


def notes(found: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    """Return the notes in public words, and how many are not; quotes of anything but columns are suppressed.

    Args:
        found: Sentences of an audit.
        known: Names that may be quoted: columns and metrics.
    """
    every = tuple(found)
    kept = tuple(told for each in every if (told := sentence(each, known)) is not None)
    left = len(every) - len(kept)
    return (*kept, f"{left} more {'note is' if left == 1 else 'notes are'} {INTERNAL}") if left else kept


def why(note: str, known: frozenset[str]) -> str:
    """Return why a column is of its kind, without the values that the note tells."""
    return sentence(note.partition(VALUES)[0], known) or ""


def fitted(found: Mapping[str, float | str], known: frozenset[str]) -> dict[str, float | str]:
    """Return the figures of a fit, rounded, and its words where they are public; no count of fewer than ten rows."""
    kept: dict[str, float | str] = {}
    for key, value in found.items():
        if key not in OF_A_FIT:
            continue
        if isinstance(value, str):
            told = sentence(value, known)
            kept |= {} if told is None else {key: told}
        elif not (key in COUNTS_OF_ROWS and 0 < abs(value) < SMALLEST_COUNT):
            kept[key] = figure(value)
    return kept
