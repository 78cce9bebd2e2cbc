"""What models are trained to predict: the target as it is, its rare classes as one, or two classes made of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.core import DETAIL_ROWS, Estimate, Evidence, NotComputable, Row
from audit.learner import answers
from tabular.schema import Column, Schema
from tabular.table import Table


class Goal(NamedTuple):
    """A target, and how its values become what is predicted.

    Attributes:
        target: The target column of the tables.
        learned: The column that a learner predicts: the target, or the classes made of it.
        classes: Class of each of the target's categories, shape (C,); None where they are its own, or it is a number.
        above: Number above which the second of two classes lies; None where the target is not cut.
        said: What was made of the target, in words; None where it is as it is.
    """

    target: Column
    learned: Column
    classes: NDArray[np.int64] | None = None
    above: float | None = None
    said: str | None = None

    def answers(self, table: Table) -> NDArray[np.float64]:
        """Return what is predicted, as positions in the classes or as numbers, shape (n,); missing is NaN."""
        found = answers(table, self.target)
        missing = np.isnan(found)
        if self.above is not None:
            return np.where(missing, np.nan, found > self.above)
        if self.classes is not None:
            return np.where(missing, np.nan, self.classes[np.where(missing, 0, found).astype(np.int64)])
        return found

    def stated(self, estimate: Estimate, truth: NDArray[np.float64]) -> Estimate:
        """Say in an estimate's detail what counted as positive among test rows, shape (n,), where it was made."""
        if self.said is None:
            return estimate
        row: Row = {"outcome": self.said, "share": float((truth == 1).mean())}
        return estimate.model_copy(update={"detail": (*estimate.detail[: DETAIL_ROWS - 1], row)})


def predicted(schema: Schema) -> Column:
    """Return the target.

    Raises:
        NotComputable: If there is none that a model can predict.
    """
    target = schema.target
    if target is None or not target.is_modelled:
        raise NotComputable("the schema declares no target to predict")
    return target


def whole(target: Column) -> Goal:
    """Return the target as it is."""
    return Goal(target, target)


def frequent(evidence: Evidence, most: int) -> Goal:
    """Return the target, its classes beyond the most frequent ones of the training rows as one, the last.

    Args:
        evidence: What is looked at.
        most: Classes that are left as they are.

    Raises:
        NotComputable: If there is no target.
    """
    target = predicted(evidence.holdout.schema)
    if target.is_number or len(target.categories) <= most:
        return whole(target)
    kept = _ranked(evidence.train, target)[:most]
    classes = np.full(len(target.categories), most)
    classes[kept] = np.arange(most)
    names = (*(str(target.categories[each]) for each in kept), "the rest")
    return Goal(target, _made(target, names), classes, said=f"{target.name}, all but {most} classes as one")


def two_classes(evidence: Evidence) -> Goal:
    """Return two classes, the last of which is positive.

    Those of the target where it has two; else the most frequent class of the training rows against the others; of a
    number, what lies above the training rows' median.

    Raises:
        NotComputable: If there is no target, or it has one class only.
    """
    target = predicted(evidence.holdout.schema)
    if target.is_number:
        known = evidence.train.numbers(target.name)
        known = known[~np.isnan(known)]
        if len(known) == 0:
            raise NotComputable(f"the target {target.name!r} has no value in the training table to cut it at")
        said = f"{target.name} above its median"
        return Goal(target, _made(target, ("below", "above")), above=float(np.median(known)), said=said)
    if len(target.categories) < 2:
        raise NotComputable(f"the target {target.name!r} has one class only; there is nothing to predict")
    if len(target.categories) == 2:
        return whole(target)
    first = int(_ranked(evidence.train, target)[0])
    classes = np.zeros(len(target.categories), dtype=np.int64)
    classes[first] = 1
    said = f"{target.name} = {target.categories[first]}"
    return Goal(target, _made(target, ("another", "the most frequent")), classes, said=said)


def _ranked(train: Table, target: Column) -> NDArray[np.int64]:
    """Return the positions of the categories, the most frequent of the training rows first."""
    codes = train.codes(target.name)
    counts = np.bincount(codes[codes >= 0], minlength=len(target.categories))
    return np.argsort(-counts, kind="stable").astype(np.int64)


def _made(target: Column, names: tuple[str, ...]) -> Column:
    return Column(name=target.name, kind="categorical", physical="text", categories=names, role="target")
