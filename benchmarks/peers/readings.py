"""How figures of other tools are read as verdicts.

None of these tools says passed or failed, and hardly any says where its figure becomes bad; where its documentation
does, that is what is read. Elsewhere the reading favours the tool: what it says of fresh real rows of the same table is
a pass, and so is all that is no more than a tolerance worse, about two standard errors where the figure is a share of
rows; where that left room, the tolerance is one that gets more releases right. The release of fresh real rows is thus
right by construction; this project's gates have no such help.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.peers.record import Figure


@dataclass(frozen=True)
class Reading:
    """What one figure says of one question.

    Attributes:
        tool: Whose figure.
        figure: Its name.
        question: What the tool claims that it answers.
        good: Whether a higher figure is better, a lower one, or the one that fresh real rows score (`near`).
        tolerance: How much worse than the figure of fresh real rows still passes.
        unit: Of the tolerance: added to the figure of fresh real rows, a multiple of it, or the tool's own interval,
            which fails where it lies wholly beyond the interval of fresh real rows.
        why: Where the reading comes from.
    """

    tool: str
    figure: str
    question: str
    good: Literal["higher", "lower", "near"]
    tolerance: float
    why: str
    unit: Literal["added", "times", "interval"] = "added"

    def verdict(self, found: Figure, fresh: Figure) -> str | None:
        """Return `passed` or `failed`; None where a figure is missing."""
        if found.value is None or fresh.value is None:
            return None
        if self.unit == "interval":
            if found.low is None or fresh.high is None:
                return None
            return "failed" if found.low > fresh.high else "passed"
        if self.unit == "times":
            worse = found.value - self.tolerance * fresh.value
        else:
            worse = self.distance(found, fresh) - self.tolerance
        return "failed" if worse > 1e-9 else "passed"

    def distance(self, found: Figure, fresh: Figure) -> float:
        """Return how much worse a figure is than that of fresh real rows."""
        assert found.value is not None and fresh.value is not None
        gap = found.value - fresh.value
        return {"higher": -gap, "lower": gap, "near": abs(gap)}[self.good]

    @property
    def said(self) -> str:
        """Say the reading in words."""
        if self.unit == "interval":
            return "fails where its 95 % interval lies wholly above that of fresh real rows"
        if self.unit == "times":
            return f"passes up to {self.tolerance:g} times the figure of fresh real rows"
        side = {"higher": "down to {} below", "lower": "up to {} above", "near": "within {} of"}[self.good]
        return f"passes {side.format(f'{self.tolerance:g}')} the figure of fresh real rows"


SDMETRICS = "https://docs.sdv.dev/sdmetrics"
NO_LIMIT = "no limit is given: how high a good score is depends on the data (https://github.com/sdv-dev/SDV/issues/772)"
QA = "https://mostly-ai.github.io/mostlyai-qa/api/#mostlyai.qa.metrics.ModelMetrics"
EVAL = "its paper (doi:10.1007/s10618-024-01081-4) and guides give directions, no limits"
METER = "its README leaves it to the controller which risk is acceptable (https://pypi.org/project/anonymeter/)"

READINGS: tuple[Reading, ...] = (
    Reading("sdmetrics", "QualityReport", "fidelity", "higher", 0.02, f"0 to 1; {NO_LIMIT}"),
    Reading("sdmetrics", "Column Pair Trends", "fidelity", "higher", 0.02, f"0 to 1; {NO_LIMIT}"),
    Reading(
        "sdmetrics",
        "LogisticDetection",
        "fidelity",
        "higher",
        0.02,
        f"1 where rows cannot be told apart ({SDMETRICS}/metrics/metrics-in-beta/detection-single-table)",
    ),
    Reading("sdmetrics", "BinaryDecisionTreeClassifier", "utility", "higher", 0.05, f"F1 on the holdout; {NO_LIMIT}"),
    Reading(
        "sdmetrics",
        "DiagnosticReport",
        "validity",
        "higher",
        0.0001,
        f"expected close to perfect ({SDMETRICS}/reports/diagnostic-report/whats-included)",
    ),
    Reading(
        "sdmetrics",
        "DCROverfittingProtection",
        "privacy",
        "higher",
        0.06,
        "1 where rows are never closer to training rows than to the validation rows "
        f"({SDMETRICS}/metrics/privacy-and-fairness-metrics/dcroverfittingprotection); "
        "two standard errors of 1,000 rows",
    ),
    Reading(
        "sdmetrics",
        "DCRBaselineProtection",
        "privacy",
        "higher",
        0.05,
        "1 where rows are as far from real ones as random rows are; no limit is given",
    ),
    Reading("sdmetrics", "NewRowSynthesis", "privacy", "higher", 0.005, "1 where all rows are new; no limit is given"),
    Reading("anonymeter", "singling out", "privacy", "lower", 0, METER, "interval"),
    Reading("anonymeter", "linkability", "privacy", "lower", 0, METER, "interval"),
    Reading("anonymeter", "inference of", "privacy", "lower", 0, METER, "interval"),
    Reading("syntheval", "avg_h_dist", "fidelity", "lower", 0.02, EVAL),
    Reading("syntheval", "corr_mat_diff", "fidelity", "lower", 2, EVAL, "times"),
    Reading("syntheval", "avg_pMSE", "fidelity", "lower", 0.01, EVAL),
    Reading("syntheval", "auroc", "utility", "near", 0.05, EVAL),
    Reading("syntheval", "statistical_parity", "bias", "near", 0.05, EVAL),
    Reading("syntheval", "hit_rate", "privacy", "lower", 0.005, EVAL),
    Reading("syntheval", "eps_identif_risk", "privacy", "lower", 0.02, EVAL),
    Reading("syntheval", "priv_loss_eps", "privacy", "lower", 0.02, EVAL),
    # Two standard errors of its five draws of a quarter of the holdout.
    Reading("syntheval", "mia_recall", "privacy", "lower", 0.03, EVAL),
    Reading("syntheval", "mia_precision", "privacy", "lower", 0.03, EVAL),
    Reading(
        "mostlyai-qa",
        "accuracy",
        "fidelity",
        "higher",
        0.02,
        f"less its maximum, to which it shall be as close as possible ({QA})",
    ),
    Reading("mostlyai-qa", "trivariate accuracy", "fidelity", "higher", 0.02, f"less its maximum ({QA})"),
    Reading("mostlyai-qa", "discriminator AUC", "fidelity", "lower", 0.05, f"shall be close to 0.5 ({QA})"),
    Reading(
        "mostlyai-qa",
        "DCR share",
        "privacy",
        "lower",
        0.02,
        f"not significantly larger than 50 % ({QA}); two standard errors of 6,000 rows and a little",
    ),
    Reading(
        "mostlyai-qa",
        "identical matches",
        "privacy",
        "lower",
        0.002,
        f"of training rows less of holdout rows; about as many are expected ({QA})",
    ),
)


def reading_of(tool: str, figure: str) -> Reading | None:
    """Return how a figure is read; what is inferred is part of its name."""
    return next((each for each in READINGS if each.tool == tool and figure.startswith(each.figure)), None)


def in_hindsight(distances: Mapping[str, float], right: Mapping[str, Sequence[str] | frozenset[str]]) -> int:
    """Count the right verdicts of the one threshold that gets most of them right, chosen with the answers at hand.

    Args:
        distances: By case, how much worse than fresh real rows a figure is.
        right: By case, the verdicts that are right.
    """
    limits = [float("-inf"), *sorted(set(distances.values()))]
    return max(
        sum(("passed" if distances[case] <= limit else "failed") in right[case] for case in distances if case in right)
        for limit in limits
    )
