"""Which pictures an estimate's detail and curves become; whatever is not known is a plain table."""

from collections.abc import Sequence

from audit.core import Row
from audit.report.answers import Answer, Gate
from audit.report.bars import Bar, bars
from audit.report.curves import pictures
from audit.report.forests import forest
from audit.report.heat import pair_panels
from audit.report.panel import Panel, Table
from audit.report.wording import number, percent

GIVEAWAYS = 12
ONLY_LISTED = "fidelity.worst_pair"
REGIONS = 8
LOST = "auc_lost_when_shuffled"
EQUAL_GROUPS = (
    "Each row is a group of people: the dot with its line is the figure and its 95 % interval, the tick what two sets "
    "of real rows give."
)
READS: dict[str, tuple[str, str]] = {
    "privacy.membership_inference": (
        "Attack by attack",
        "Each row is one attack: the dot with its line is how well it tells members from others, the tick how well it "
        "does on fresh real rows, and one attack that succeeds is enough.",
    ),
    "privacy.attribute_inference": (
        "What an attacker learns of a secret",
        "Each row is a secret and an attacker who knows all else: 0 means that the synthetic rows helped no more with "
        "training rows than with rows they never saw, 1 that they gave every secret away.",
    ),
    "privacy.attribute_inference_outliers": (
        "What an attacker learns of rows that stand alone, and of groups",
        "Each row is a secret of a set of people, the most isolated among them: 0 means that the synthetic rows helped "
        "no more with training rows than with rows they never saw, 1 that they gave every such secret away.",
    ),
    "privacy.membership_outliers": (
        "Rows that stand alone, and groups",
        "Each row is a set of people, the most isolated among them: the farther right its interval, the better they "
        "can be found; the average over everybody hides them.",
    ),
    "privacy.linkability": (
        "Linking two halves of a record",
        "Each row is one way to link: 0 means that training rows are linked no better than rows never seen.",
    ),
    "privacy.singling_out": (
        "Singling somebody out",
        "Each row is one kind of guess: 0 means that guesses fit training rows no better than rows never seen.",
    ),
}
COUNTED = ("column", "rule", "group", "attack", "secret", "property", "outcome", "learner", "analysis")
EACH = "Each row is one part of the answer: the dot with its line is the figure and its 95 % interval, the tick what "
EACH += "fresh real rows give."
RULES_READ = "Each row is a rule; the examples are synthetic rows, never real ones."


def panels(metric: str, answer: Answer, gate: Gate | None, columns: Sequence[str]) -> tuple[Panel, ...]:
    """Return one metric's pictures and tables: its curves, then its detail, rows of one shape together."""
    estimate = answer.estimate
    found = pictures(estimate, gate, metric)
    for rows in shapes(estimate.detail):
        found += _of(metric, answer, rows, gate, columns)
    return tuple(found)


def shapes(detail: Sequence[Row]) -> list[list[Row]]:
    """Part a detail into rows of one shape: those that begin with the same key."""
    found: dict[str, list[Row]] = {}
    for row in detail:
        if row:
            found.setdefault(next(iter(row)), []).append(row)
    return list(found.values())


def _of(metric: str, answer: Answer, rows: Sequence[Row], gate: Gate | None, columns: Sequence[str]) -> Sequence[Panel]:
    keys = set(rows[0])
    if {"first", "second"} <= keys and (found := pair_panels(rows, columns)):
        return found[1:] if metric == ONLY_LISTED else found
    if LOST in keys:
        return [_giveaways(rows)]
    if "region" in keys:
        return [_regions(rows)]
    if "easiest" in keys:
        return [
            Panel(
                title="Synthetic rows that are easiest to tell",
                reads="These are synthetic rows, not people: the classifier was surest that they are not real.",
                table=Table.of(rows),
            )
        ]
    title, reads = READS.get(metric, (f"{_by(rows)}", EQUAL_GROUPS if metric.startswith("bias.") else EACH))
    judged = (answer.estimate.value, gate.bound if gate is not None else None, answer.ideal)
    rules = "rule" in keys
    plain = Panel(title=_by(rows), reads=RULES_READ if rules else "", table=Table.of(rows), leads=rules)
    return [forest(rows, title, reads, judged) or plain]


def _by(rows: Sequence[Row]) -> str:
    """Name a table after what each of its rows is: `Column by column`."""
    key = next(iter(rows[0]))
    if {"first", "second"} <= set(rows[0]):
        return "Pair by pair"
    if "group" in rows[0]:
        return "Group by group"
    return f"{key.capitalize()} by {key}" if key in COUNTED else "In figures"


def _giveaways(rows: Sequence[Row]) -> Panel:
    found = [(str(row.get("column")), value) for row in rows if isinstance(value := row.get(LOST), int | float)]
    shown = [Bar(name, value, None, number(value)) for name, value in found[:GIVEAWAYS]]
    return Panel(
        title="Columns that give the rows away",
        reads="The longer a bar, the more of its success the classifier loses when that column is shuffled; a perfect "
        "table has no bar worth speaking of.",
        drawing=bars(shown),
        table=Table.of(rows),
    )


def _regions(rows: Sequence[Row]) -> Panel:
    shown = []
    for row in rows[:REGIONS]:
        made, real = row.get("synthetic"), row.get("real")
        if isinstance(made, int | float) and isinstance(real, int | float):
            shares = max(made, real) <= 1
            words = (percent if shares else number)(made), (percent if shares else number)(real)
            shown.append(Bar(str(row["region"]), made, real, f"{words[0]}, real {words[1]}"))
    return Panel(
        title="Regions that give the rows away",
        reads="Each region is a part of the table that holds more synthetic rows than real ones, or fewer: the "
        "coloured bar is its share of synthetic rows, the grey one of real rows.",
        drawing=bars(shown) if shown else None,
        table=Table.of(rows),
    )
