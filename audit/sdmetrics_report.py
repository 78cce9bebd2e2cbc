"""Scores of sdmetrics' reports under their own names, of synthetic and of fresh real rows against training rows."""

import warnings
from importlib.metadata import version
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from audit.core import Estimate, Evidence, Interval, NotComputable, Row
from audit.intervals import half_samples
from audit.reading import modelled
from audit.reference import Rows, need, parts, some
from tabular.table import Table

Report = Literal["quality", "diagnostic"]
PARTS = 4
COLUMNS = 80
QUARTER_COLUMNS = 20
MOST = 50_000


class Scores(NamedTuple):
    """What one report says.

    Attributes:
        overall: The overall score; NaN where no property could be computed.
        properties: Each property's score by its name; NaN where it could not be computed.
    """

    overall: float
    properties: dict[str, float]


def reported(evidence: Evidence, report: Report, minimum: int, rng: np.random.Generator) -> Estimate:
    """Score synthetic rows and holdout rows, as many of each, against as many training rows.

    The interval is score ± t · sd / √4, the deviation being that of the scores of four disjoint quarters of the rows.
    Where there are more than 20 columns, the quarters are scored on 20 drawn at random: fewer columns vary more, so the
    interval is wider. sdmetrics takes milliseconds per pair of columns; of more than 80 columns it sees 80, drawn at
    random, and the detail says so.

    Raises:
        NotComputable: If rows are too few, or sdmetrics computes no property.
    """
    columns = modelled(evidence.holdout.schema)
    plain, quarters = _equal(evidence, minimum, rng)
    kinds = {str(place): "categorical" if column.is_code else "numerical" for place, column in enumerate(columns)}
    drawn = [str(place) for place in rng.permutation(len(columns))[:COLUMNS]]
    seen = {place: kinds[place] for place in kinds if place in drawn}
    few = {place: kinds[place] for place in drawn[:QUARTER_COLUMNS]}
    found, fresh = (_scores(plain[0], rows, seen, report) for rows in plain[1:])
    if np.isnan(found.overall):
        raise NotComputable("sdmetrics could compute none of its properties on these columns")
    spread = [
        [
            _scores(plain[0].iloc[real], plain[side].iloc[rows], few, report).overall
            for real, rows in zip(quarters[0], quarters[side], strict=True)
            if len(real) and len(rows)
        ]
        for side in (1, 2)
    ]
    intervals = [_interval(scores.overall, each) for scores, each in zip((found, fresh), spread, strict=True)]
    known = not np.isnan(fresh.overall)
    return Estimate(
        value=found.overall,
        interval=intervals[0],
        reference=fresh.overall if known else None,
        reference_interval=intervals[1] if known else None,
        detail=tuple(_row(name, found, fresh, f"{len(seen)} of {len(columns)}") for name in found.properties),
        rows=len(plain[0]),
    )


def _equal(evidence: Evidence, minimum: int, rng: np.random.Generator) -> tuple[list[pd.DataFrame], list[list[Rows]]]:
    """Return equally many training, synthetic and holdout rows, and the quarters of each.

    Raises:
        NotComputable: If one of the three tables is too small.
    """
    tables = (evidence.train, evidence.synthetic, evidence.holdout)
    size = min(MOST, *(len(table) for table in tables))
    need(size, minimum, "the smallest of the training, synthetic and holdout tables")
    chosen = [table.take(some(np.arange(len(table)), size, rng)) for table in tables]
    return [_plain(table) for table in chosen], [parts(table, PARTS, rng) for table in chosen]


def _interval(score: float, quarters: list[float]) -> Interval | None:
    """Return the interval of a score from the scores of disjoint quarters; None where fewer than two have one."""
    known = np.array(quarters)[~np.isnan(quarters)]
    if len(known) < 2 or np.isnan(score):
        return None
    centred = score + (known - known.mean()) / np.sqrt(PARTS)
    return half_samples(list(centred), 0, 1)


def _scores(real: pd.DataFrame, rows: pd.DataFrame, kinds: dict[str, str], report: Report) -> Scores:
    """Run one report of sdmetrics on the columns of frames of numbers that have a kind."""
    # Importing sdmetrics takes seconds of processor time, which a run without these metrics need not pay.
    from sdmetrics.reports import DiagnosticReport, QualityReport

    frames = ({"rows": frame[list(kinds)]} for frame in (real, rows))
    columns = {place: {"sdtype": kind} for place, kind in kinds.items()}
    made = QualityReport() if report == "quality" else DiagnosticReport()
    with warnings.catch_warnings():
        # It warns, through scipy and numpy, of constant columns and of means of nothing; both end as NaN below.
        warnings.simplefilter("ignore")
        made.generate(*frames, {"tables": {"rows": {"columns": columns}}}, verbose=False)
        properties = made.get_properties()
    scores = dict(zip(properties["Property"], properties["Score"].astype(float), strict=True))
    return Scores(float(made.get_score()), scores)


def _plain(table: Table) -> pd.DataFrame:
    """Return modelled columns as numbers under their places; categories by position, missing is NaN."""
    read = {
        str(place): np.where((codes := table.codes(column.name)) == -1, np.nan, codes.astype(np.float64))
        if column.is_code
        else table.numbers(column.name)
        for place, column in enumerate(table.schema.modelled)
    }
    return pd.DataFrame(read)


def _row(name: str, found: Scores, fresh: Scores, columns: str) -> Row:
    score, reference = found.properties[name], fresh.properties[name]
    row: Row = {
        "property": name,
        "score": None if np.isnan(score) else score,
        "reference": None if np.isnan(reference) else reference,
        "columns": columns,
        "sdmetrics": version("sdmetrics"),
    }
    return {**row, "note": "sdmetrics could not compute it on these columns"} if np.isnan(score) else row
