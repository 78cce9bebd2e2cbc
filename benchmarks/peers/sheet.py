"""The results as a page of Markdown: summary, verdicts by question, single figures, how figures were read."""

from collections.abc import Iterable, Sequence
from statistics import median

from audit.core import QUESTIONS
from benchmarks.peers.readings import READINGS
from benchmarks.peers.record import Record
from benchmarks.peers.tally import Answers, Mark, all_marks, counts

SIGNS = {"right": "✓", "wrong": "✗", "no answer": "·", "did not run": "!", "not asserted": ""}
WORDS = {"passed": "passes", "failed": "fails", "inconclusive": "unsure"}
COUNTED = ("right", "wrong", "missed", "false alarms", "unsure", "no answer", "did not run")
HEAD = """# Audits put to releases whose faults are known

Each release is made of real rows in a way that settles what an audit must say of it; the right answers are those of
`tests/audit/releases.py`. A verdict is right (✓), wrong (✗), not given because the tool makes no statement on the
question (·), or missing because the tool did not run (!). The wrong ones are missed (passed what must fail), false
alarms (failed what must pass) or unsure (would not say what must be said). No sign: any verdict may be right, and none
is counted.

The right answers are this project's, its gates were made with these releases in mind, and where a release lies at a
gate's limit the suite was settled with the measurement at hand: read its own column as a test that it keeps, not as a
contest that it won, and the others as what their figures can and cannot see. Repeated rows are a fault of fidelity
here, which is why a bootstrap fails on it. How figures are read as verdicts stands at the end; what each of them would
get right under the one threshold that is best in hindsight stands below its column.
"""


def sheet(record: Record) -> str:
    """Return the whole page."""
    found = Answers(record)
    parts = [HEAD, _setting(record)]
    for table in found.tables():
        parts += [f"\n## {table}\n", _rows_of(record, table), _summary(found, table)]
        for question in QUESTIONS:
            parts.append(f"\n### {table}: {question}\n")
            parts.append(_verdicts(found, table, question))
            for tool in found.tools(table):
                if found.figures(table, tool, question):
                    parts.append(_figures(found, table, tool, question))
    return "\n".join([*parts, _readings()]).rstrip() + "\n"


def _setting(record: Record) -> str:
    versions = {name: number for cell in record.cells for name, number in cell.versions.items()}
    return "\n".join(
        [
            f"- Command: `{record.command}`",
            f"- Machine: {record.machine}.",
            f"- Versions: {', '.join(f'{name} {number}' for name, number in versions.items())}.",
            f"- Budget: {record.minutes:g} minutes for one tool and one release.",
        ]
    )


def _rows_of(record: Record, table: str) -> str:
    rows = next((cell.rows for cell in record.cells if cell.table == table and cell.rows), {})
    return f"{', '.join(f'{count:,} {part}' for part, count in rows.items())} rows.\n"


def _summary(found: Answers, table: str) -> str:
    lines = []
    for tool in found.tools(table):
        counted = counts(all_marks(found, table, tool))
        cells = [cell for place, cell in found.cells.items() if place[::2] == (table, tool) and cell.cpu_seconds]
        numbers = [counted[each] for each in COUNTED]
        lines.append([tool, *map(str, numbers), f"{median(cell.cpu_seconds for cell in cells):.0f}" if cells else "-"])
    head = [
        "tool",
        "right",
        "wrong",
        "of these missed",
        "false alarms",
        "unsure",
        "no answer",
        "did not run",
        "CPU s per release",
    ]
    return grid(head, lines)


def _verdicts(found: Answers, table: str, question: str) -> str:
    """One row per release, one column per tool: the word, and the figure that decided."""
    tools = found.tools(table)
    lines = []
    for case in found.cases(table):
        right = found.right(table, case, question)
        marks = [found.mark(table, case, tool, question) for tool in tools]
        lines.append([case, "or ".join(WORDS[each] + " " for each in sorted(right or ())).strip(), *map(_shown, marks)])
    return grid(["release", "right is", *tools], lines)


def _shown(mark: Mark) -> str:
    if mark.grade in ("no answer", "did not run"):
        return f"{SIGNS[mark.grade]} {mark.word}".strip()
    number = "" if mark.value is None else f" ({mark.by} {mark.value:.3g})"
    return f"{SIGNS[mark.grade]} {WORDS[mark.word]}{number}".strip()


def _figures(found: Answers, table: str, tool: str, question: str) -> str:
    """One row per release, one column per figure of a tool, each graded as if it were alone."""
    names = found.figures(table, tool, question)
    marks = {case: [found.mark_figure(table, case, tool, name) for name in names] for case in found.cases(table)}
    lines = [[case, *(_number(each) for each in listed)] for case, listed in marks.items()]
    columns = [[listed[place] for listed in marks.values()] for place in range(len(names))]
    tallies = [counts(column) for column in columns]
    lines.append(["**right of all**", *(f"**{each['right']} of {each['right'] + each['wrong']}**" for each in tallies)])
    best = [found.hindsight(table, tool, name) for name in names]
    lines.append(["**best threshold in hindsight**", *(f"**{right} of {of}**" for right, of in best)])
    return f"\nEach figure of {tool} by itself:\n\n{grid(['release', *names], lines)}"


def _number(mark: Mark) -> str:
    if mark.grade == "did not run":
        return f"! {mark.word}"
    return f"{SIGNS[mark.grade]} {mark.value:.3g}".strip()


def _readings() -> str:
    lines = [[each.tool, each.figure, each.question, each.said, each.why] for each in READINGS]
    return (
        "\n## How figures are read as verdicts\n\n"
        "A tool fails a release on a question where any of its figures does. The release of fresh real rows passes by\n"
        "construction wherever it is the reference.\n\n"
        + grid(["tool", "figure", "question", "reading", "where from"], lines)
        + "\n\nNot asked: synthcity 0.2.12 (pins torch below 2.3 and numpy below 2, gigabytes of other packages);\n"
        "EqualizedOddsImprovement of sdmetrics (needs xgboost, which it does not install); median_DCR, nnaa, nndr,\n"
        "att_discl and cls_acc of SynthEval (minutes each with so many rows); univariate attacks of anonymeter.\n"
    )


def grid(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
