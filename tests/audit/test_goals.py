"""What models predict where the target has many classes, more than two, or is a number."""

from functools import cache

import numpy as np
import pytest

from audit.core import Estimate, Evidence, NotComputable
from audit.goals import frequent, two_classes, whole
from audit.intervals import auc
from audit.learner import Trees, answers, learn
from audit.trials import Draws
from audit.utility.train_synthetic_test_real import TrainSyntheticTestReal
from audit.utility.train_synthetic_test_real_linear import TrainSyntheticTestRealLinear
from pipeline.registry import metric
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import shuffled, world

CLASSES, MOST = 60, 8
SCORES = (TrainSyntheticTestReal, TrainSyntheticTestRealLinear)
FEW = Draws(count=4, most=3_000)


def aimed(table: Table, name: str) -> Table:
    """Take another column as the target."""
    columns = tuple(
        column.model_copy(update={"role": "target" if column.name == name else "feature"})
        for column in table.schema.columns
    )
    return Table.conform(Schema(columns=columns), table.frame)


def crowded(table: Table, rng: np.random.Generator) -> Table:
    """Add a target of many classes, the next one half as frequent after every ten, that income tells roughly."""
    income = table.frame["income"].to_numpy()
    place = income.argsort().argsort() / len(table) + rng.normal(0, 0.05, len(table))
    edges = np.cumsum(0.5 ** (np.arange(CLASSES) // 10))
    code = np.searchsorted(edges[:-1] / edges[-1], np.clip(place, 0, 1))
    names = tuple(f"job {each:02d}" for each in np.random.default_rng(1).permutation(CLASSES))
    column = Column(name="job", kind="categorical", physical="text", categories=tuple(sorted(names)))
    schema = Schema(columns=(*table.schema.columns, column))
    return aimed(Table.conform(schema, table.frame.assign(job=np.array(names)[code])), "job")


@cache
def tables() -> tuple[Table, Table, Table]:
    rng = np.random.default_rng(23)
    return (crowded(world(4_000, rng), rng), crowded(world(4_000, rng), rng), crowded(world(4_000, rng), rng))


@cache
def score(kind: type[TrainSyntheticTestReal] | type[TrainSyntheticTestRealLinear], change: str) -> Estimate:
    train, holdout, fresh = tables()
    made = {"none": fresh, "shuffled": shuffled(fresh, np.random.default_rng(2)), "no rare class": emptied()}[change]
    return kind(kind.Config(draws=FEW, classes=MOST))(Evidence(train, holdout, made), np.random.default_rng(1))


def emptied() -> Table:
    """Give all rare classes' rows to the most frequent one."""
    train, holdout, fresh = tables()
    goal = frequent(Evidence(train, holdout, fresh), MOST)
    rare = goal.answers(fresh) == MOST
    job = np.where(rare, str(goal.learned.categories[0]), fresh.frame["job"])
    return Table.conform(fresh.schema, fresh.frame.assign(job=job))


def test_the_most_frequent_classes_stay_and_the_others_are_one() -> None:
    evidence = Evidence(*tables())
    goal = frequent(evidence, 20)
    assert len(goal.learned.categories) == 21 and goal.classes is not None
    counts = np.bincount(evidence.train.codes("job"), minlength=CLASSES)
    pooled = goal.classes == 20
    assert pooled.sum() == CLASSES - 20
    assert counts[pooled].max() <= counts[~pooled].min()
    codes = evidence.holdout.codes("job")
    assert (goal.answers(evidence.holdout) == goal.classes[codes]).all()
    kept = np.flatnonzero(~pooled)
    assert [goal.learned.categories[goal.classes[each]] for each in kept] == [
        evidence.train.schema["job"].categories[each] for each in kept
    ]


@pytest.mark.parametrize("name", ["city", "income", "approved"])
def test_few_classes_and_numbers_are_predicted_as_they_are(name: str) -> None:
    train, holdout, fresh = (aimed(table, name) for table in tables())
    goal = frequent(Evidence(train, holdout, fresh), 20)
    assert goal == whole(holdout.schema[name])
    assert np.array_equal(goal.answers(holdout), answers(holdout, holdout.schema[name]), equal_nan=True)


@pytest.mark.parametrize("kind", SCORES)
def test_many_classes_are_judged(kind: type[TrainSyntheticTestReal] | type[TrainSyntheticTestRealLinear]) -> None:
    good, bad = score(kind, "none"), score(kind, "shuffled")
    assert good.gap_interval is not None and good.value is not None and good.value > 0.7
    assert abs(good.gap or 0) < 0.02 and good.gap_interval.low > -0.05
    assert bad.gap_interval is not None and bad.gap_interval.high < -0.05
    assert "rare classes as one" in str(good.detail[0]["score"])


def test_rare_classes_are_learned_among_columns_that_tell_nothing() -> None:
    """Half of the classes have a dozen rows each; one number tells them all, five columns of categories nothing."""
    rng = np.random.default_rng(3)
    x = rng.integers(40, size=(8_000, 6)).astype(float)
    x[:, 0] = rng.random(len(x))
    place = (x[:, 0] + rng.normal(0, 0.1, len(x))).argsort().argsort() / len(x)
    code = np.searchsorted(np.cumsum([*[0.004] * 8, *[0.121] * 7]), place)
    names = tuple(f"job {each:02d}" for each in range(16))
    column = Column(name="job", kind="categorical", physical="text", categories=names)
    chance = learn(x[:3_000], code[:3_000].astype(float), x[3_000:], np.arange(6) > 0, column, Trees(leaves=8), 1)
    assert np.mean([auc(chance[:, each], code[3_000:] == each) for each in range(8)]) > 0.8
    assert np.mean([auc(chance[:, each], code[3_000:] == each) for each in range(8, 16)]) > 0.86


def test_rare_classes_that_are_gone_are_missed() -> None:
    gone = score(TrainSyntheticTestReal, "no rare class")
    assert gone.gap_interval is not None and gone.gap_interval.high < -0.02


def test_the_most_frequent_of_several_classes_is_positive() -> None:
    train, holdout, fresh = (aimed(table, "region") for table in tables())
    goal = two_classes(Evidence(train, holdout, fresh))
    most = train.frame["region"].mode()[0]
    assert goal.said == f"region = {most}"
    assert np.array_equal(goal.answers(holdout) == 1, (holdout.frame["region"] == most).to_numpy())


def test_the_upper_half_of_a_number_is_positive_and_missing_stays_missing() -> None:
    train, holdout, fresh = (aimed(table, "savings") for table in tables())
    goal = two_classes(Evidence(train, holdout, fresh))
    found, values = goal.answers(holdout), holdout.numbers("savings")
    assert np.array_equal(np.isnan(found), np.isnan(values))
    middle = float(train.frame["savings"].median())
    assert np.array_equal(found[~np.isnan(found)] == 1, values[~np.isnan(values)] > middle)
    assert goal.said == "savings above its median"


def test_two_classes_are_those_of_the_target() -> None:
    train, holdout, fresh = (aimed(table, "approved") for table in tables())
    evidence = Evidence(train, holdout, fresh)
    assert two_classes(evidence) == whole(evidence.holdout.schema["approved"])


@pytest.mark.parametrize("name", ["income", "schooling", "job"])
def test_bias_of_models_is_told_of_any_target(name: str) -> None:
    train, holdout, fresh = (aimed(table, name) for table in tables())
    kind = metric("bias.demographic_parity")
    found = kind(kind.Config())(Evidence(train, holdout, fresh), np.random.default_rng(1))
    assert found.value is not None, found.not_computed
    goal = two_classes(Evidence(train, holdout, fresh))
    assert found.detail[-1]["outcome"] == goal.said
    assert float(found.detail[-1]["share"] or 0) == pytest.approx((goal.answers(holdout) == 1).mean())


def test_no_target_and_one_class_say_so() -> None:
    train, holdout, fresh = tables()
    same = Column(name="job", kind="constant", physical="text", categories=("x",), role="target")
    schema = Schema(columns=(*(column for column in train.schema.columns if column.name != "job"), same))
    one, other, third = (Table.conform(schema, table.frame.assign(job="x")) for table in (train, holdout, fresh))
    with pytest.raises(NotComputable, match="one class only"):
        two_classes(Evidence(one, other, third))
    one, other, third = (aimed(table, "") for table in (train, holdout, fresh))
    with pytest.raises(NotComputable, match="no target"):
        two_classes(Evidence(one, other, third))
