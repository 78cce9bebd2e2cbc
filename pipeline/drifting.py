"""A release against another, or against real rows that came later: gate by gate, with intervals."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from audit.core import Estimate
from audit.report.document import GateVerdict
from pipeline.drift import Alarm, Better, Drift, alarm, compare
from pipeline.errors import Mistake
from pipeline.gates import gate
from pipeline.later import Outside, anywhere, read
from pipeline.manifest import Manifest
from pipeline.measuring import bench
from pipeline.monitoring import Show
from pipeline.policies import asked, policy
from pipeline.registry import metric, metrics
from pipeline.releases import find_release

OUTSIDE = "values outside the release's schema"
NEW_ROWS = "privacy is about the rows that a release was made from; rows that came later tell nothing of it"


class GateChange(BaseModel):
    """One gate's verdict, before and after; None where it was not asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    demand: str
    before: GateVerdict | None
    after: GateVerdict | None


class Drifted(BaseModel):
    """What changed in what the audit finds.

    Attributes:
        gates: Every gate of either side.
        metrics: Every metric of either side, what is worse first.
        alarm: Whether any gate is worse, all comparisons taken together.
        outside: Values of new real rows that the release's schema does not know, by column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    gates: tuple[GateChange, ...]
    metrics: tuple[Drift, ...]
    alarm: Alarm
    outside: tuple[Outside, ...] = ()


def between(before: Manifest, after: Manifest) -> Drifted:
    """Compare what two releases' audits found."""
    verdicts = [{(each.metric, each.demand): each.verdict for each in side.gates} for side in (before, after)]
    # A demand that is relative to fresh real rows is worded with its limit, so that a gate is known by its metric.
    names = dict.fromkeys(name for side in verdicts for name, _ in side)
    found = compared(before.estimates, after.estimates)
    return Drifted(
        gates=tuple(
            GateChange(
                metric=name,
                demand=next(demand for side in verdicts[::-1] for known, demand in side if known == name),
                before=_gravest(name, verdicts[0]),
                after=_gravest(name, verdicts[1]),
            )
            for name in names
        ),
        metrics=found,
        alarm=alarm(found, names),
    )


def since(root: Path, release: str, rows: str, show: Show) -> Drifted:
    """Audit a release's rows against real rows that came later, and compare with what it got when it was released.

    The new rows are read with the release's own schema. Values that it does not know are findings, compared with chance
    like the gates.

    Args:
        root: The project's folder.
        release: Name of the release.
        rows: Real rows: a file or URL, read as the release's specification says.
        show: Where progress goes.

    Raises:
        Mistake: If there is no such release, its rows are not here, or the new rows are not a table of its columns.
    """
    found = find_release(root, release)
    if not found.rows.exists():
        raise Mistake(f"release {release}: its rows are not here; `dvc pull` brings them")
    later = read(root, found, rows)
    spec = later.spec
    wanted, _ = asked(policy(spec.policy, root), spec, later.schema, later.evidence.declared)
    with bench(spec.seed) as place:
        measured = place.measure(
            later.evidence, None, (), lambda share, name: show("diff", share, name), {"privacy": NEW_ROWS}
        )
    kept = [each for each in wanted if not each.metric.startswith("privacy.")]
    after = {each.metric: gate(each, measured.estimates[each.metric], metric(each.metric).better) for each in kept}
    before = {(each.metric, each.demand): each.verdict for each in found.manifest.gates}
    told = {name: each for name, each in found.manifest.estimates.items() if not name.startswith("privacy.")}
    new = {name: each for name, each in measured.estimates.items() if not name.startswith("privacy.")}
    drifts = compared(told, new)
    return Drifted(
        gates=tuple(
            GateChange(metric=name, demand=each.demand, before=_gravest(name, before), after=each.verdict)
            for name, each in after.items()
        ),
        metrics=drifts,
        alarm=alarm(drifts, after, {OUTSIDE: anywhere(later.outside, len(later.schema.modelled))}),
        outside=later.outside,
    )


def compared(before: Mapping[str, Estimate], after: Mapping[str, Estimate]) -> tuple[Drift, ...]:
    """Compare what two audits found, each metric in its own direction."""
    better: dict[str, Better] = {name: metric(name).better for name in metrics()}
    exact = {name for name in metrics() if metric(name).spread == "exact"}
    return compare(before, after, better, exact)


def _gravest(name: str, verdicts: Mapping[tuple[str, str], GateVerdict]) -> GateVerdict | None:
    order = ("invalid", "failed", "inconclusive", "passed")
    found = [verdict for (known, _), verdict in verdicts.items() if known == name]
    return min(found, key=order.index, default=None)
