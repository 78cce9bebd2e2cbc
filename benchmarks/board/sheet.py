"""The leaderboard as a page of Markdown: one table a data set, and how each figure is computed."""

from collections.abc import Iterable

from benchmarks.board.cells import DONE, Cell, Record
from benchmarks.board.contest import ANCHORS
from benchmarks.board.figure import Figure

NOTHING = "–"
HEAD = """# Leaderboard

Every generator learned from the same rows with the same threads and budget, in a process of its own. Below are the
generators in the order in which boosted trees tell their rows from unseen real ones, least first; the first rows of
each table are anchors, whose meaning is known. A figure in brackets is the error over the noise floor: how many times
as far off as fresh real rows, at equal numbers of rows.

![fidelity against membership leakage against fit time](leaderboard.svg)
"""
COLUMNS = (
    "generator",
    "Shape %",
    "Trend %",
    "shape %",
    "trend %",
    "C2ST",
    "α-prec.",
    "β-recall",
    "TSTR",
    "bits a row",
    "MIA AUC",
    "TPR at 1 %",
    "ε ≥",
    "copies %",
    "fit CPU s",
    "cost",
    "rows / CPU s",
    "GiB",
)
FOOT = """
## How to read it

- **Shape, Trend**: errors, 1 - score, of sdmetrics {sdmetrics}'s QualityReport against all training rows, as published
  results have them; sdmetrics bins real and synthetic numbers separately and skips weak pairs, and scores have changed
  with its version. Brackets: as many synthetic rows as holdout rows, over the error of the holdout rows.
- **shape, trend**: this project's `fidelity.column_shapes` and `fidelity.pair_trends` against one half of the holdout,
  with shared bins at quantiles of real rows; brackets: over the distance of the other half.
- **C2ST**: AUC of scikit-learn's HistGradientBoostingClassifier (150 rounds, 3 folds, equal sizes up to 20,000) that
  tells synthetic from holdout rows; 0.5 cannot be told apart. Repeated rows lie in several folds, which it sees.
- **α-prec., β-recall**: `fidelity.alpha_precision` and `fidelity.beta_recall`; brackets: those of fresh real rows.
- **TSTR**: boosted trees trained on synthetic, tested on holdout rows: ROC AUC, R² for a number; brackets: less that of
  trees trained on as many real rows (TRTR).
- **bits a row**: mean surprise of at most 5,000 holdout rows at the precision of each column, where the family has a
  density; ≈ where it is estimated; "+ n ∞" rows that it takes for impossible are left out.
- **MIA AUC, TPR at 1 %, ε ≥**: the best of five membership attacks, chosen on other queries: AUC, members found at 1 %
  false positives, and the lower bound at 95 % confidence on ε. An attack that finds nothing proves nothing.
- **copies %**: `privacy.exact_copies`: rows copied from training rows, as identical ones beyond the share that chance
  makes identical to unseen real rows; 100 for a verbatim copy.
- **fit CPU s, cost**: processor seconds of training; over those of {ours}. **rows / CPU s**: of drawing.
  **GiB**: most memory of the process, libraries included.
- Budget: {minutes:g} minutes of wall-clock time for a training, and again for drawing. Families with a training loop
  stop by themselves before it, as does TabularARGN, which is told the budget; whoever is late is ended and named so.
- Schemas, with categories and ranges, are read from all rows; peers get texts as categories, missing ones as a category
  of their own, and their numbers are rounded to each column's grid and kept inside its range.
- Figures are of one training and one drawing, with seed {seed}.
"""


def sheet(record: Record) -> str:
    """Return the whole page."""
    parts = [
        HEAD,
        f"    {record.command}\n",
        f"Measured on {record.machine}; {record.threads} thread{'s' * (record.threads > 1)} each; code {record.code}.",
        *_overview(record),
    ]
    for table, said in record.splits.items():
        parts += [f"\n## {table}\n", f"{said}.\n", _table(record, table), *_asides(record, table)]
    named = {reference(record, table) or "none" for table in record.splits}
    parts.append(
        FOOT.format(
            sdmetrics=record.sdmetrics, ours=" or ".join(sorted(named)), minutes=record.minutes, seed=record.seed
        )
    )
    parts.append("Anchors: " + "; ".join(f"**{name}**: {said}" for name, said in ANCHORS.items()) + ".\n")
    return "\n".join(parts)


def reference(record: Record, table: str) -> str | None:
    """Return which of our families cost is counted against: sequential_trees, else bayesian_network."""
    done = {cell.model for cell in record.cells if cell.table == table and cell.side == "ours" and cell.ended == DONE}
    return next((name for name in ("sequential_trees", "bayesian_network") if name in done), None)


def ordered(cells: Iterable[Cell]) -> list[Cell]:
    """Return anchors first, then the generators by how well their rows are told apart, then those without rows."""
    return sorted(
        cells,
        key=lambda cell: (
            cell.side != "anchor",
            cell.ended != DONE,
            cell.side != "anchor" and (cell.figures.get("c2st", Figure()).value or 1.0),
        ),
    )


def _overview(record: Record) -> list[str]:
    """Return one line a generator with its C2ST on each table, where there is more than one; empty otherwise."""
    tables = list(record.splits)
    if len(tables) < 2:
        return []
    by_model: dict[str, list[Cell]] = {}
    for cell in record.cells:
        by_model.setdefault(cell.model, []).append(cell)
    lines = []
    for cells in by_model.values():
        values = {cell.table: cell.figures.get("c2st", Figure()).value for cell in cells if cell.ended == DONE}
        known = [value for table in tables if (value := values.get(table)) is not None]
        whole = sum(known) / len(known) if len(known) == len(tables) else None
        seconds = [cell.fit_cpu for cell in cells if cell.fit_cpu is not None and cell.ended == DONE]
        each = [_plain(values.get(table), 3) for table in tables]
        cost = _plain(sum(seconds) if len(seconds) == len(tables) else None, 0)
        order = (cells[0].side != "anchor", cells[0].side != "anchor" and (whole is None, whole))
        lines.append((order, (_name(cells[0]), *each, _plain(whole, 3), cost)))
    rows = [("generator", *tables, "mean", "fit CPU s, all"), ("---", *["---:"] * (len(tables) + 2))]
    rows += [line for _, line in sorted(lines, key=lambda each: each[0])]
    said = f"C2ST on each table, least mean first; {NOTHING} where there is none: late, failed or not tried."
    return ["\n## At a glance\n", f"{said}\n", "\n".join(f"| {' | '.join(row)} |" for row in rows)]


def _name(cell: Cell) -> str:
    return {"anchor": f"*{cell.model}*", "ours": f"**{cell.model}**"}.get(cell.side, cell.model)


def _table(record: Record, table: str) -> str:
    cells = [cell for cell in record.cells if cell.table == table]
    ours = next((cell for cell in cells if cell.model == reference(record, table)), None)
    lines = [COLUMNS, ("---", *["---:"] * (len(COLUMNS) - 1))]
    lines += [_line(cell, None if ours is None else ours.fit_cpu) for cell in ordered(cells)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _line(cell: Cell, ours: float | None) -> tuple[str, ...]:
    name = _name(cell)
    if cell.ended != DONE:
        return (f"{name}: {cell.ended.replace('|', '/')}", *[NOTHING] * (len(COLUMNS) - 1))
    figure = {key: cell.figures.get(key, Figure()) for key in (*cell.figures, *WANTED)}
    tstr = figure["tstr"]
    gap = None if tstr.value is None or tstr.floor is None else tstr.value - tstr.floor
    return (
        name,
        *(_error(figure[each]) for each in ("sdmetrics_shape", "sdmetrics_trend", "shape", "trend")),
        _plain(figure["c2st"].value, 3),
        *(f"{_plain(figure[each].value, 3)} ({_plain(figure[each].floor, 3)})" for each in WANTED[5:7]),
        _plain(tstr.value, 3) + ("" if gap is None else f" ({gap:+.3f})"),
        _bits(cell),
        _plain(figure["membership_auc"].value, 3),
        _plain(_hundred(figure["membership_tpr"].value), 1, " %"),
        _plain(figure["membership_epsilon"].value, 2),
        _plain(_hundred(figure["copies"].value), 2),
        _plain(cell.fit_cpu, 1),
        _plain(cell.fit_cpu / ours if cell.fit_cpu is not None and ours else None, 1, "×"),
        f"{cell.drawn / cell.sample_cpu:,.0f}" if cell.sample_cpu else NOTHING,
        _plain(cell.peak_gib, 2),
    )


WANTED = (
    "sdmetrics_shape",
    "sdmetrics_trend",
    "shape",
    "trend",
    "c2st",
    "alpha_precision",
    "beta_recall",
    "tstr",
    "membership_auc",
    "membership_tpr",
    "membership_epsilon",
    "copies",
)


def _asides(record: Record, table: str) -> list[str]:
    """Say what a reader must know of single rows: broken cells, figures that could not be computed."""
    said = []
    notes: dict[str, list[str]] = {}
    for cell in (each for each in record.cells if each.table == table and each.ended == DONE):
        own = [f"{cell.broken:,} cells held nothing that their column may hold"] if cell.broken else []
        own += [f"{name}: {found.note}" for name, found in cell.figures.items() if found.value is None and found.note]
        own += [f"bits: {cell.notes['density']}"] if "density" in cell.notes and cell.bits is None else []
        for note in own:
            notes.setdefault(note, []).append(cell.model)
    said += [f"- {note} ({', '.join(models)})" for note, models in notes.items()]
    versions = {name: number for cell in record.cells if cell.side == "peer" for name, number in cell.versions.items()}
    if versions:
        said.append(f"- Versions: {', '.join(f'{name} {number}' for name, number in sorted(versions.items()))}")
    return ["", *said] if said else []


def _error(figure: Figure) -> str:
    over = "" if figure.over is None else f" ({figure.over:.1f}×)"
    return _plain(_hundred(figure.value), 2) + over


def _bits(cell: Cell) -> str:
    if cell.bits is None:
        return NOTHING if not cell.impossible else "∞"
    beyond = f" + {cell.impossible} ∞" if cell.impossible else ""
    return f"{'≈ ' if cell.estimated else ''}{cell.bits:.2f}{beyond}"


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _plain(value: float | None, digits: int, unit: str = "") -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}{unit}"
