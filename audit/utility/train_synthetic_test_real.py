"""Train on synthetic, test on real: does a model learned from synthetic rows predict real ones?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import auc, half_samples
from audit.learner import Trees, trial
from tabular.schema import Column


class TrainSyntheticTestReal(Metric):
    """Score on real rows of a model trained on synthetic rows; the reference is that of one trained on real rows.

    The score is ROC AUC for a code target (the mean of one class against the rest, over classes with enough test
    rows), R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)² for a number target. Both models are the same gradient-boosted trees,
    trained on as many rows (S' and half B of the holdout) and tested on half A; scores are means over random splits.
    Intervals are half-sample intervals (`audit.intervals.half_samples`), the gap's paired, so they count the luck of
    test rows, training rows and fit. A synthetic table with one class only is answered by that class: AUC 0.5.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Train on synthetic, test on real"
    needs = ("target",)
    definition: ClassVar[str] = (
        "Score on unseen real rows of gradient-boosted trees trained on synthetic ones: ROC AUC (0.5 chance, 1 "
        "perfect) for classes, R² (at most 1) for numbers (Esteban et al. 2017, arXiv:1706.02633)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes and the learner.

        Attributes:
            splits: How often the holdout is split and models are trained.
            minimum: Fewest rows with a target to train or test on.
            most: Most rows to train or test on.
            classes: Most classes of a code target.
            of_class: Fewest test rows of a class, and of the rest, for the class to count.
            trees: The learner.
        """

        splits: PositiveInt = 5
        minimum: PositiveInt = 50
        most: PositiveInt = 10_000
        classes: int = Field(default=20, ge=2)
        of_class: PositiveInt = 10
        trees: Trees = Trees()

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Train on synthetic and on real rows, test both on other real rows."""
        settings = self.config
        target = evidence.holdout.schema.target
        if target is None or not target.is_modelled:
            raise NotComputable("the schema declares no target to predict")
        if target.is_code and len(target.categories) > settings.classes:
            raise NotComputable(
                f"the target {target.name!r} has {len(target.categories)} classes; "
                f"this metric takes at most {settings.classes}"
            )
        scores = np.empty((2, settings.splits))
        for turn in range(settings.splits):
            tried = trial(evidence, target, settings.trees, rng, settings.minimum, settings.most)
            classes = self._classes(tried.truth, target)
            for side, answer in enumerate((tried.synthetic, tried.real)):
                scores[side, turn] = _score(tried.truth, answer, classes)
        value, reference = (float(each.mean()) for each in scores)
        low = 0.0 if target.is_code else -np.inf
        gap = half_samples(scores[0] - scores[1])
        row: Row = {"score": "ROC AUC" if target.is_code else "R²", "target": target.name, "gap": value - reference}
        return Estimate(
            value=value,
            interval=half_samples(scores[0], low, 1),
            reference=reference,
            reference_interval=half_samples(scores[1], low, 1),
            detail=({**row, "gap_low": gap.low, "gap_high": gap.high},),
            rows=tried.trained,
        )

    def _classes(self, truth: NDArray[np.float64], target: Column) -> tuple[int, ...]:
        """Return the classes that are scored, none for a number target.

        Raises:
            NotComputable: If no class has enough test rows.
        """
        if target.is_number:
            return ()
        counts = np.bincount(truth.astype(np.int64), minlength=len(target.categories))
        enough = (counts >= self.config.of_class) & (len(truth) - counts >= self.config.of_class)
        if not enough.any():
            raise NotComputable(
                f"no class of the target {target.name!r} has {self.config.of_class} test rows with as many of the rest"
            )
        return tuple(int(each) for each in np.flatnonzero(enough))


def r_squared(truth: NDArray[np.float64], guess: NDArray[np.float64]) -> float:
    """Return 1 - Σ(y - ŷ)² / Σ(y - ȳ)², both of shape (n,); the truth varies."""
    return 1 - float(((truth - guess) ** 2).sum() / ((truth - truth.mean()) ** 2).sum())


def _score(truth: NDArray[np.float64], answer: NDArray[np.float64], classes: tuple[int, ...]) -> float:
    if not classes:
        return r_squared(truth, answer)
    return float(np.mean([auc(answer[:, code], truth == code) for code in classes]))
