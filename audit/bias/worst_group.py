"""Worst group: in which group does a model trained on synthetic rows lose most?"""

from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.disparity import by_group
from audit.goals import two_classes
from audit.intervals import auc
from audit.learner import Trees
from audit.rates import Grouping, Groups, Rates, groupings, kept, measured, sums
from audit.scores import auc_parts
from audit.trials import Draws, Trials, trials, useful


class WorstGroup(Metric):
    """ROC AUC within the sensitive group that loses most of it.

    What counts as positive: `audit.goals.two_classes`. The value is the mean over models trained on random rows
    (`audit.trials`), tested on the rows of one group, of a sensitive column or of a pair of them: that which loses most
    against the reference, the same of models trained on real rows, on the same test rows. A group with a low AUC among
    real rows too would otherwise hide one that loses. Groups need enough positives and enough negatives. Which groups
    are judged, and intervals: as for `bias.equal_opportunity`, the test rows' part from what each row adds to the AUC's
    error (DeLong et al. 1988, doi:10.2307/2531595), drawn by privacy unit.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Worst group"
    needs = ("target", "sensitive")
    definition: ClassVar[str] = (
        "ROC AUC, on unseen real rows, of a model trained on synthetic ones, within the sensitive group that loses "
        "most against one trained on real rows; 0.5 (chance) to 1 (worst-group performance: Sagawa et al. 2020, "
        "arXiv:1911.08731)."
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
        """Score the models within each group of the holdout."""
        settings = self.config
        goal = two_classes(evidence)
        tried = trials(evidence, goal, settings.trees, settings.draws)
        positive = useful(tried)
        by = groupings(evidence, tried, settings.groups)
        found = [_scores(each, tried, positive, settings.groups) for each in by]
        return goal.stated(by_group(found, settings.groups, tried.trained, sign=-1), tried.truth)


def _scores(grouping: Grouping, tried: Trials, positive: NDArray[np.bool_], groups: Groups) -> Rates:
    """Return the AUCs of one grouping's groups in place of rates."""
    large, rows, few = kept(grouping, groups.rows)
    size, codes, truth = len(large.names), large.codes, positive[rows]
    least = np.minimum(*(np.bincount(codes[truth == side], minlength=size) for side in (False, True)))
    count = len(tried.real)
    fits, parts = np.full((2, count, size), np.nan), np.zeros((2, len(rows)))
    for group in np.flatnonzero(least >= groups.cases):
        at = np.flatnonzero(codes == group)
        for side, answers in enumerate((tried.synthetic, tried.real)):
            for turn, answer in enumerate(answers):
                fits[side, turn, group] = auc(answer[rows[at], 1], truth[at])
                parts[side, at] += auc_parts(answer[rows[at], 1], truth[at]) / count
    drawn = [
        fit.mean(axis=0) + sums(codes, part, tried.weights[rows], size) for fit, part in zip(fits, parts, strict=True)
    ]
    return measured("ROC AUC", large, few, (fits, np.array(drawn)), least, groups.cases)
