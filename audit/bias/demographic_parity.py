"""Demographic parity: does a model trained on synthetic rows select each group equally often?"""

from typing import ClassVar, Literal

import numpy as np

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.disparity import disparity
from audit.learner import Trees
from audit.rates import SELECTION, Groups
from audit.trials import Draws


class DemographicParity(Metric):
    """Demographic parity difference of a model trained on synthetic rows.

    The largest minus the smallest selection rate of the groups of one sensitive column,
    max P(ŷ=1 | g) - min P(ŷ=1 | g).

    What counts as positive: `audit.goals.two_classes`. Nobody has said above which probability a row will be
    called positive, so rates are averaged over all thresholds, which makes them means of the predicted probability
    (balance for a class: Kleinberg et al. 2017, arXiv:1609.05807), unless a threshold is set; and over models trained
    on random rows (`audit.trials`). Of several sensitive columns, and of pairs of them where it is beyond doubt, the
    one counts that worsens most against the reference, the same difference of models trained on real rows and tested
    on the same holdout: a large difference that real rows have too would hide it. Which groups are judged:
    `audit.rates.Groups`. Intervals: the test rows' part by bootstrap of privacy units, paired, and that of models
    (`audit.trials.margin`); the gap's holds the largest worsening of all groupings, between these two tables
    (`audit.disparity.worst`). A model that tells nothing treats all groups alike and is of no use to any: there is no
    value then.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Demographic parity difference"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "Largest gap in selection rate between groups of a sensitive column, on unseen real rows, of a model trained "
        "on synthetic ones; 0 (equal) to 1 (Calders & Verwer, Three naive Bayes approaches for discrimination-free "
        "classification, 2010, doi:10.1007/s10618-010-0190-x)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """The learner, its trials, and the groups.

        Attributes:
            trees: The learner.
            draws: How often and on how many rows it is trained and tested.
            groups: How sensitive columns are grouped, and which groups are judged.
        """

        trees: Trees = Trees(leaves=8)
        draws: Draws = Draws()
        groups: Groups = Groups()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare the groups' rates on the holdout, after synthetic and after real training rows."""
        settings = self.config
        return disparity(evidence, (SELECTION,), settings.trees, settings.draws, settings.groups)
