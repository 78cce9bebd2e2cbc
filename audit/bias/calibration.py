"""Calibration: are probabilities of a model trained on synthetic rows right in each group?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.disparity import by_group
from audit.goals import two_classes
from audit.learner import Array, Trees
from audit.rates import Grouping, Groups, Rates, groupings, kept, measured, sums
from audit.reading import Codes
from audit.trials import Draws, Trials, trials, useful


class Calibration(Metric):
    """Expected calibration error within the sensitive group where it worsens most.

    Σ |Σ (y - p)| / n over ten equally wide bins of the probability p that a row is positive, of the n test rows of a
    group; what counts as positive: `audit.goals.two_classes`. The value is the mean over models trained on
    random rows (`audit.trials`), for the group, of a sensitive column or of a pair of them, that worsens most against
    the reference: the same of models trained on real rows, on the same test rows. Both have the same upward bias from
    chance. Which groups are judged, and intervals: as for `bias.equal_opportunity`, the test rows' part by bootstrap
    of the models' mean probabilities.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Calibration within groups"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "Expected calibration error, on unseen real rows, of a model trained on synthetic ones, in the sensitive group "
        "where it worsens most; 0 (right) to 1 (Pleiss et al., On fairness and calibration, 2017, arXiv:1709.02012)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """The learner, its trials, the groups and the bins.

        Attributes:
            trees: The learner.
            draws: How often and on how many rows it is trained and tested.
            groups: How sensitive columns are grouped, and which groups are judged.
            bins: Bins of probabilities.
        """

        trees: Trees = Trees(leaves=8)
        draws: Draws = Draws()
        groups: Groups = Groups()
        bins: int = Field(default=10, ge=2)

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare probabilities with outcomes in each group of the holdout."""
        settings = self.config
        goal = two_classes(evidence)
        tried = trials(evidence, goal, settings.trees, settings.draws)
        positive = useful(tried)
        found = [_errors(each, tried, positive, settings) for each in groupings(evidence, tried, settings.groups)]
        return goal.stated(by_group(found, settings.groups, tried.trained), tried.truth)


def calibration_errors(codes: Codes, chance: Array, positive: NDArray[np.bool_], size: int, bins: int) -> Array:
    """Return the expected calibration error of each group, shape (size,); each has a row.

    Args:
        codes: Group of each row, shape (n,), in [0, size).
        chance: Probability of being positive, shape (n,).
        positive: Whether a row is positive, shape (n,).
        size: Number of groups.
        bins: Number of equally wide bins.
    """
    cells = _cells(codes, chance, bins)
    off = np.bincount(cells, positive - chance, minlength=size * bins).reshape(size, bins)
    return np.asarray(np.abs(off).sum(axis=1) / np.bincount(codes, minlength=size))


def _cells(codes: Codes, chance: Array, bins: int) -> Codes:
    return codes * bins + np.minimum((chance * bins).astype(np.int64), bins - 1)


def _errors(grouping: Grouping, tried: Trials, positive: NDArray[np.bool_], settings: Calibration.Config) -> Rates:
    """Return the errors of one grouping's groups in place of rates."""
    large, rows, few = kept(grouping, settings.groups.rows)
    size, codes, weights = len(large.names), large.codes, tried.weights[rows]
    truth = positive[rows]
    total = np.maximum(sums(codes, np.ones(len(rows)), weights, size), 1)
    fits, drawn = [], []
    for side in (tried.synthetic[:, rows, 1], tried.real[:, rows, 1]):
        fits.append([calibration_errors(codes, each, truth, size, settings.bins) for each in side])
        mean = side.mean(axis=0)
        off = sums(_cells(codes, mean, settings.bins), truth - mean, weights, size * settings.bins)
        drawn.append(np.abs(off).reshape(len(off), size, settings.bins).sum(axis=2) / total)
    cases = np.bincount(codes, minlength=size)
    return measured("calibration error", large, few, (np.array(fits), np.array(drawn)), cases, settings.groups.rows)
