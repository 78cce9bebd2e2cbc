from functools import cache

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from audit.core import DETAIL_ROWS, Declared, Estimate, Evidence
from audit.validity.declared_rules import DeclaredRules
from audit.validity.mined_rules import NONE_FOUND, MinedRules
from audit.validity.schema_violations import SchemaViolations
from audit.validity.unseen_combinations import UnseenCombinations
from tabular.infer import Override, infer_schema
from tabular.rules import Rule
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.conftest import CITIES, REGIONS, Real, shuffled, with_units, world

REGION_OF = dict(zip(CITIES, np.repeat(REGIONS, 3), strict=True))
PASSES, FAILS = 0.005, 0.02


def resampled(table: Table, share: float, rng: np.random.Generator) -> Table:
    """Draw a share of the cells anew, each from its own column."""
    frame = table.frame.copy()
    for name in frame:
        anew = rng.random(len(frame)) < share
        drawn = table.frame[name].iloc[rng.integers(len(frame), size=len(frame))].set_axis(frame.index)
        frame[name] = frame[name].where(~anew, drawn)
    return Table.conform(table.schema, frame)


def mine(evidence: Evidence, **settings: object) -> Estimate:
    return MinedRules(MinedRules.Config.model_validate(settings))(evidence, np.random.default_rng(1))


def unseen(evidence: Evidence) -> Estimate:
    return UnseenCombinations(UnseenCombinations.Config())(evidence, np.random.default_rng(1))


def declared(evidence: Evidence, *rules: str) -> Estimate:
    of = Declared(rules=tuple(map(Rule.parse, rules)))
    asked = Evidence(evidence.train, evidence.holdout, evidence.synthetic, declared=of)
    return DeclaredRules(DeclaredRules.Config())(asked, np.random.default_rng(1))


def passes(found: Estimate) -> bool:
    assert found.gap_interval is not None
    return found.gap_interval.high <= PASSES


def fails(found: Estimate) -> bool:
    assert found.gap_interval is not None
    return found.gap_interval.low > FAILS


def test_the_citys_region_is_mined_and_nothing_else_is(real: Real) -> None:
    found = mine(real.evidence(real.fresh))
    assert {row["rule"] for row in found.detail} == {
        f'if city = "{city}" then region = {region}' for city, region in REGION_OF.items()
    }
    counts = real.train.frame["city"].value_counts()
    for row in found.detail:
        assert row["training_rows"] == counts[str(row["rule"]).split('"')[1]]
    assert (found.value, found.reference, found.gap) == (0, 0, 0)
    assert passes(found)


def test_every_row_that_breaks_the_dependency_is_counted_once(real: Real, rng: np.random.Generator) -> None:
    made = shuffled(real.train, rng)
    wrong = made.frame["city"].astype(str).map(REGION_OF) != made.frame["region"].astype(str)
    found = mine(real.evidence(made))
    assert found.value == wrong.mean() > 0.3
    assert fails(found)
    broken = made.frame["city"][wrong].value_counts()
    for row in found.detail:
        assert row["broken_rows"] == broken[str(row["rule"]).split('"')[1]]
        assert row["synthetic_share"] == broken[str(row["rule"]).split('"')[1]] / len(made)
    shares = [row["synthetic_share"] for row in found.detail]
    assert shares == sorted(shares, reverse=True)


def test_intervals_are_those_of_statsmodels(real: Real, rng: np.random.Generator) -> None:
    made = resampled(real.train, 0.1, rng)
    for found in (mine(real.evidence(made)), unseen(real.evidence(made))):
        assert found.value and found.interval and found.gap_interval
        n, m = len(made), len(real.holdout) // 2
        hits = round(found.value * n)
        assert (found.interval.low, found.interval.high) == pytest.approx(
            proportion_confint(hits, n, method="wilson"), abs=1e-12
        )
        assert (found.gap_interval.low, found.gap_interval.high) == pytest.approx(
            confint_proportions_2indep(hits, n, 0, m, method="newcomb", compare="diff"), abs=1e-9
        )


def test_a_third_of_the_cells_drawn_anew_fails_and_fresh_rows_pass(real: Real, rng: np.random.Generator) -> None:
    for look in (mine, unseen):
        assert fails(look(real.evidence(resampled(real.train, 0.3, rng))))
        assert passes(look(real.evidence(real.fresh)))
        assert passes(look(real.evidence(real.train)))


def test_the_order_of_rows_changes_nothing(real: Real, rng: np.random.Generator) -> None:
    made = resampled(real.train, 0.2, rng)
    turned = made.take(rng.permutation(len(made)))
    for look in (mine, unseen):
        assert look(real.evidence(made)).value == look(real.evidence(turned)).value
    rule = "if region = north then approved = yes"
    first, second = (declared(real.evidence(each), rule) for each in (made, turned))
    assert (first.value, first.reference) == (second.value, second.reference)


def numbers(rows: int, rng: np.random.Generator, gap: float = 0.0) -> Table:
    """Start before end, nearly always; as many plain numbers that overlap; a number always above both."""
    start = rng.normal(size=rows)
    frame = pd.DataFrame(
        {"start": start, "end of it": start + rng.random(rows) - gap, "other": rng.normal(size=rows), "far": 100.0}
    )
    frame.loc[rng.random(rows) < 0.3, "end of it"] = np.nan
    return Table.conform(
        Schema(columns=tuple(Column(name=name, kind="continuous", physical="real", nullable=True) for name in frame)),
        frame,
    )


def test_an_order_of_two_numbers_is_mined(rng: np.random.Generator) -> None:
    train, holdout, fresh = (numbers(3_000, rng) for _ in range(3))
    made = numbers(3_000, rng, gap=0.4)
    assert mine(Evidence(train, holdout, fresh)).value == 0
    found = mine(Evidence(train, holdout, made))
    assert found.value == (made.frame["start"] > made.frame["end of it"]).mean()
    assert fails(found)
    (order,) = [row for row in found.detail if "<=" in str(row["rule"])]
    assert order["rule"] == "start <= `end of it`"
    assert order["training_rows"] == train.frame["end of it"].notna().sum()


def test_an_order_is_only_mined_between_like_units(rng: np.random.Generator) -> None:
    def made() -> Table:
        day = rng.integers(0, 1000, 1000)
        frame = pd.DataFrame(
            {
                "day": np.datetime64("2020-01-01") + day.astype("timedelta64[D]"),
                "later": np.datetime64("2020-01-01") + (day + rng.integers(0, 9, 1000)).astype("timedelta64[D]"),
                "number": rng.normal(size=1000) * 1e6,
            }
        )
        columns = [Column(name=name, kind="date", physical="date") for name in ("day", "later")]
        columns.append(Column(name="number", kind="continuous", physical="real"))
        return Table.conform(Schema(columns=tuple(columns)), frame)

    found = mine(Evidence(made(), made(), made()), confidence=1)
    assert [row["rule"] for row in found.detail] == ["day <= later"]


def test_without_a_rule_none_is_broken_for_certain(real: Real, rng: np.random.Generator) -> None:
    names = ("sex", "age", "approved")
    schema = Schema(columns=tuple(column for column in real.train.schema.columns if column.name in names))
    parts = [Table(schema, table.frame[list(schema.names)]) for table in (real.train, real.holdout)]
    found = mine(Evidence(*parts, shuffled(parts[0], rng).take(np.arange(60))))
    assert found.detail == ({"rule": NONE_FOUND},)
    assert (found.value, found.reference) == (0, 0)
    assert found.gap_interval is not None and (found.gap_interval.low, found.gap_interval.high) == (0, 0)


def test_what_half_of_the_holdout_contradicts_is_no_rule(real: Real, rng: np.random.Generator) -> None:
    frame = real.holdout.frame.copy()
    frame["region"] = pd.Categorical.from_codes(rng.integers(4, size=len(frame)), dtype=frame["region"].dtype)
    contradicting = Table.conform(real.holdout.schema, frame)
    assert mine(Evidence(real.train, contradicting, real.fresh)).detail == ({"rule": NONE_FOUND},)


def test_what_nearly_all_rows_are_anyway_is_no_rule(real: Real) -> None:
    def same(table: Table) -> Table:
        column = Column(name="country", kind="categorical", physical="text", categories=("here", "there"))
        frame = table.frame.assign(country=np.where(np.arange(len(table)) % 250 == 0, "there", "here"))
        return Table.conform(Schema(columns=(*table.schema.columns, column)), frame)

    found = mine(Evidence(same(real.train), same(real.holdout), same(real.fresh)))
    assert not [row for row in found.detail if "country" in str(row["rule"])]


def test_rows_of_one_person_count_as_one(real: Real) -> None:
    tables = [with_units(table, 20, first) for table, first in ((real.train, 0), (real.holdout, 1000))]
    found = mine(Evidence(*tables, with_units(real.fresh, 1, 5000)))
    assert found.detail == ({"rule": NONE_FOUND},)  # of 200 persons none of twelve cities has 200
    few = mine(Evidence(*tables, with_units(real.fresh, 1, 5000)), support=201)
    assert few.value is None and "200 rows" in str(few.not_computed)
    some = mine(Evidence(*tables, with_units(real.fresh, 1, 5000)), support=5)
    assert some.reference_interval is not None and some.reference_interval.high > 0.03


def test_pairs_are_expected_by_the_persons_who_hold_them(rng: np.random.Generator) -> None:
    """Ten persons of a hundred rows each never hold a pair that only 20 and more of them could be expected to."""
    columns = [Column(name=name, kind="categorical", physical="text", categories=("a", "b")) for name in ("x", "y")]
    schema = Schema(columns=(Column(name="who", kind="identifier", physical="integer", role="unit"), *columns))

    def persons(first: int, rows: int) -> Table:
        half = np.where(np.arange(10) < 5, "a", "b")
        return Table.conform(
            schema,
            pd.DataFrame({"who": np.repeat(first + np.arange(10), rows), "x": np.repeat(half, rows), "y": "a"}).assign(
                y=lambda frame: frame["x"]
            ),
        )

    free = Schema(columns=tuple(columns))
    train, holdout, made = persons(0, 100), persons(10, 100), persons(20, 100)
    made = Table.conform(schema, made.frame.assign(y=made.frame["y"].to_numpy()[::-1]))
    assert unseen(Evidence(train, holdout, made)).value == 0
    rows = [Table(free, table.frame[["x", "y"]]) for table in (train, holdout, made)]
    assert unseen(Evidence(*rows)).value == 1


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 0.0), (0.01, 0.01), (0.25, 0.25)])
def test_a_declared_rule_broken_in_a_share_of_rows_is_counted_exactly(real: Real, share: float, wanted: float) -> None:
    frame = real.fresh.frame.copy()
    frame.loc[: round(share * len(frame)) - 1, ["sex", "married"]] = ["female", True]
    rule = "if sex = female then age >= 18 and age <= 90"
    frame.loc[: round(share * len(frame)) - 1, "age"] = 17
    schema = Schema(
        columns=tuple(
            column.model_copy(update={"minimum": 0}) if column.name == "age" else column
            for column in real.fresh.schema.columns
        )
    )
    tables = [Table(schema, each) for each in (real.train.frame, real.holdout.frame, frame)]
    found = declared(Evidence(*tables), rule, "income >= 0")
    assert (found.value, found.reference, found.interval) == (wanted, 0, None)
    worst = found.detail[0]
    assert (worst["rule"], worst["broken_rows"], worst["share"]) == (rule, wanted * 4000, wanted)
    assert worst["applies_to"] == (frame["sex"] == "female").sum()
    assert worst["synthetic_example"] == ("sex = female, age = 17" if share else None)


def test_a_rule_that_real_rows_break_shows_in_the_reference(real: Real) -> None:
    found = declared(real.evidence(real.fresh), "approved = yes", "sex = male")
    broken = (real.holdout.frame[["approved", "sex"]] != ["yes", "male"]).any(axis=1).mean()
    assert found.reference == broken > 0
    assert [row["real_share"] for row in found.detail] == [
        (real.holdout.frame[name] != word).mean() for name, word in _worst_first(real)
    ]


def _worst_first(real: Real) -> list[tuple[str, str]]:
    wanted = [("approved", "yes"), ("sex", "male")]
    return sorted(wanted, key=lambda each: -(real.fresh.frame[each[0]] != each[1]).sum())


def test_rules_that_cannot_be_asked_give_a_reason(real: Real) -> None:
    assert declared(real.evidence(real.fresh)).not_computed == "no rule was declared"
    assert "there is no column 'agee'" in str(declared(real.evidence(real.fresh), "agee > 3").not_computed)
    assert "synthetic table has 0 rows" in str(
        declared(real.evidence(real.fresh.take(np.arange(0))), "age > 3").not_computed
    )
    many = declared(real.evidence(real.fresh), *(f"age >= {age}" for age in range(80)))
    assert len(many.detail) == DETAIL_ROWS and many.detail[0]["rule"] == "age >= 79"


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.assign(city=np.where(np.arange(len(frame)) < 40, "Atlantis", frame["city"].astype(str))),
        lambda frame: frame.assign(age=np.where(np.arange(len(frame)) < 40, 120, frame["age"])),
        lambda frame: frame.assign(income=np.where(np.arange(len(frame)) < 40, "much", frame["income"].astype(str))),
        lambda frame: frame.assign(sex=np.where(np.arange(len(frame)) < 40, None, frame["sex"].astype(str))),
        lambda frame: frame.assign(joined=np.where(np.arange(len(frame)) < 40, "soon", frame["joined"].astype(str))),
    ],
    ids=["unknown category", "out of range", "wrong type", "missing", "no date"],
)
def test_what_breaks_the_schema_is_counted_exactly(real: Real, change) -> None:
    synthetic, broken = Table.coerce(real.fresh.schema, change(real.fresh.frame))
    evidence = Evidence(real.train, real.holdout, synthetic, broken.to_numpy().any(axis=1))
    found = SchemaViolations(SchemaViolations.Config())(evidence, np.random.default_rng(0))
    assert (found.value, found.reference) == (40 / len(synthetic), 0)


def test_a_missing_column_breaks_every_row(real: Real) -> None:
    synthetic, broken = Table.coerce(real.fresh.schema, real.fresh.frame.drop(columns="city"))
    evidence = Evidence(real.train, real.holdout, synthetic, broken.to_numpy().any(axis=1))
    assert SchemaViolations(SchemaViolations.Config())(evidence, np.random.default_rng(0)).value == 1


@cache
def adult(folder) -> Real:
    frame = pd.concat([pd.read_parquet(folder / "adult" / f"{part}.parquet") for part in ("train", "test")])
    numbers = {name: Override(kind="integer") for name in frame.select_dtypes("number")}
    table = Table.conform(infer_schema(frame, numbers), frame)
    order = np.random.default_rng(0).permutation(len(table))
    return Real(*(table.take(each) for each in np.split(order, [24_000, 36_400])))


def test_adult_has_the_measured_answers(shared_data, rng: np.random.Generator) -> None:
    real = adult(shared_data)
    for made, seen, mined in (
        (real.fresh, (0, 0.001), (0, 0.001)),
        (resampled(real.train, 0.3, rng), (0.21, 0.25), (0.45, 0.6)),
        (shuffled(real.train, rng), (0.41, 0.44), (0.8, 0.9)),
    ):
        for found, (low, high) in ((unseen(real.evidence(made)), seen), (mine(real.evidence(made)), mined)):
            assert found.value is not None and low <= found.value <= high
            assert found.reference is not None and found.reference < 0.001
            assert passes(found) if made is real.fresh else fails(found)
    rules = {row["rule"] for row in mine(real.evidence(real.fresh)).detail}
    assert {
        "if relationship = Husband then sex = Male",
        "if workclass is missing then occupation is missing",
        "if education = Bachelors then education-num in (11, 13]",
    } <= rules


def test_a_table_without_the_dependency_has_no_rule(rng: np.random.Generator) -> None:
    parts = [shuffled(world(2_000, rng), rng) for _ in range(3)]
    assert mine(Evidence(*parts)).detail == ({"rule": NONE_FOUND},)
