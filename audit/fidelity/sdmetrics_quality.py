"""The quality score of sdmetrics, under its own name and by its own definition."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.sdmetrics_report import reported


class SdmetricsQuality(Metric):
    """Overall score of sdmetrics' QualityReport: the mean of Column Shapes and Column Pair Trends.

    Its columns are the modelled ones: numbers (and times) as `numerical`, categories as `categorical`. The value scores
    synthetic rows against training rows, the reference holdout rows, as many, against the same training rows.
    Details: `audit.sdmetrics_report.reported`.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "sdmetrics quality score"
    definition: ClassVar[str] = (
        "Mean of sdmetrics' Column Shapes and Column Pair Trends scores against training rows; 0 to 1 (alike) "
        "(docs.sdv.dev/sdmetrics)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How few rows are too few."""

        minimum: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Run sdmetrics' report on the synthetic rows and on holdout rows."""
        return reported(evidence, "quality", self.config.minimum, rng)
