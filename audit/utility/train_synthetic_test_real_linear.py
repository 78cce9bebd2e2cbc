"""Train on synthetic, test on real, linear: does a simple model, learned from synthetic rows, predict real ones?"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.learner import Linear
from audit.scores import transfer
from audit.trials import Draws


class TrainSyntheticTestRealLinear(Metric):
    """Score on real rows of a linear model trained on synthetic rows; the reference is that of real ones.

    The score is ROC AUC for a code target (the mean of one class against the rest, over classes with enough test rows;
    of many classes the most frequent ones of the training rows, and all others as one, so that a table of thousands is
    judged too, at bounded cost), R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)² for a number target. The same learner is trained on as
    many random rows of the synthetic table and of the training table, several times each, and tested on the whole
    holdout (`audit.trials`); scores are means over models.

    The learner: logistic regression with an L2 penalty, one class against the rest, fitted by Newton's method; ridge
    regression for a number target. It reads categories as indicators, the frequent ones each their own, and numbers in
    standard deviations with an indicator of missing ones (`audit.learner.inputs`).

    Intervals: the test rows' part from what each privacy unit adds to the score's error (for AUC: DeLong et al. 1988,
    doi:10.2307/2531595), the gap's paired; and that of models and of the tables that they were trained on
    (`audit.trials.margin`). The gap is a difference of scores for numbers too: 0.02 is a fiftieth of the target's
    variance, 5 % of an R² of 0.4. A synthetic table with one class only is answered by that class: AUC 0.5.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Train on synthetic, test on real: linear model"
    needs = ("target",)
    definition: ClassVar[str] = (
        "Score on unseen real rows of logistic (classes) or ridge regression (numbers) trained on synthetic ones: ROC "
        "AUC (0.5 chance, 1 perfect) or R² (at most 1) (Esteban et al. 2017, arXiv:1706.02633)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """The learner, its trials and the classes.

        Attributes:
            linear: The learner.
            draws: How often and on how many rows it is trained and tested.
            classes: Most classes of a code target that are told apart; the rarer ones are one more.
            of_class: Fewest test rows of a class, and of the rest, for the class to count.
        """

        linear: Linear = Linear()
        draws: Draws = Draws()
        classes: int = Field(default=20, ge=2)
        of_class: PositiveInt = 10

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Train on synthetic and on real rows, test both on other real rows."""
        settings = self.config
        return transfer(evidence, settings.linear, settings.draws, settings.classes, settings.of_class)
