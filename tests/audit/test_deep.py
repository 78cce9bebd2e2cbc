"""The deep tier: generators that leak give themselves away when they are trained again, the others do not."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from audit.core import Estimate, Evidence, Metric, Refit
from audit.intervals import auc
from audit.mechanism import RUNS, mechanism_bound
from audit.membership import Attacks, membership
from audit.privacy import canaries as planting
from audit.privacy import shadow_models as shadows
from audit.privacy.canaries import Canaries, strangers
from audit.privacy.exact_copies import hashes
from audit.privacy.shadow_models import ShadowModels
from tabular.table import Table
from tests.audit.conftest import Real as Worlds
from tests.audit.conftest import with_units, world
from tests.audit.generators import Generator, bootstrap, canaries, cart, joined, network
from tests.audit.releases import real_world

ROWS = 500


def fresh(table: Table, rows: int, rng: np.random.Generator) -> Table:
    """A generator that learns nothing from its rows: it knows the world."""
    real = real_world().fresh
    return real.take(rng.permutation(len(real))[:rows])


def private(epsilon: float = 1.0) -> Generator:
    return network(epsilon, public=real_world().fresh)


def planted(generator: Generator, seed: int = 0, **settings: object) -> Estimate:
    real = real_world()
    evidence = Evidence(real.train, real.holdout, real.fresh, refit=Refit(generator))
    return Canaries(Canaries.Config.model_validate(settings))(evidence, np.random.default_rng(seed))


@cache
def with_canaries(count: int) -> Evidence:
    """Few rows with canaries among them, which are the most isolated."""
    real = real_world()
    birds = canaries(real.train, count, np.random.default_rng(1))
    return Evidence(joined([real.train.take(np.arange(ROWS)), birds]), real.holdout, real.fresh)


def shadowed(generator: Generator, targets: int, fits: int, seed: int = 0) -> Estimate:
    known = with_canaries(targets)
    evidence = Evidence(known.train, known.holdout, known.synthetic, refit=Refit(generator))
    config = ShadowModels.Config(targets=targets, fits=fits, rows=ROWS)
    return ShadowModels(config)(evidence, np.random.default_rng(seed))


def told(found: Estimate, quantity: str) -> dict[str, float]:
    return next(dict(row) for row in found.detail if row["quantity"] == quantity)


def test_small_leaves_print_canaries_as_they_are_and_none_of_their_siblings() -> None:
    found = planted(cart(5), fits=2)
    assert (found.value or 0) > 1
    assert found.reference is not None and found.reference < 0.2
    assert told(found, "share found verbatim")["planted"] > 0.6
    assert told(found, "share found verbatim")["kept out"] == 0


def test_a_private_generator_prints_no_canary_though_each_stands_there_twenty_times() -> None:
    found = planted(private(), copies=20, fits=8)
    assert found.value is not None and found.value < 0.2
    assert told(found, "share found verbatim")["planted"] == 0


def test_large_leaves_hide_canaries() -> None:
    found = planted(cart(50), fits=2)
    assert found.value is not None and found.value < 0.2


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_who_does_not_learn_does_not_leak(seed: int) -> None:
    assert (planted(fresh, seed).value or 0) < 0.2
    assert (shadowed(fresh, 1, 64, seed).value or 0) < 0.2


@pytest.mark.parametrize(("generator", "leaks"), [(network(), True), (private(), False), (network(1.0), True)])
@pytest.mark.slow
def test_in_and_out_of_few_rows(generator: Generator, leaks: bool) -> None:
    """An ε that bin edges cut from the rows themselves do not keep is found out too."""
    found = shadowed(generator, 1, 64)
    assert found.value is not None
    assert found.value > 1 if leaks else found.value < 0.2
    assert found.reference is not None and found.reference < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("targets", [1, 5])
def test_in_and_out_of_few_rows_at_length(targets: int) -> None:
    found = shadowed(network(), targets, 800 // targets)
    assert (found.value or 0) > (3 if targets == 1 else 2)
    kept = shadowed(private(), targets, 800 // targets)
    assert kept.value is not None and kept.value < 0.2


def attacked(generator: Generator, seed: int) -> list[float]:
    """Return the ROC AUC of each of the five attacks on what few rows were turned into."""
    real, rng = real_world(), np.random.default_rng(seed)
    train = real.train.take(rng.permutation(len(real.train))[:ROWS])
    found = membership(Evidence(train, real.holdout, generator(train, ROWS, rng), seed=seed), Attacks()).synthetic
    sides = zip(found.members, found.others, strict=True)
    return [auc(np.concatenate(pair), np.arange(2 * ROWS) < ROWS) for pair in sides]


def test_attacks_on_densities_see_what_the_nearest_rows_do_not_show() -> None:
    leaking, kept = (np.mean([attacked(each, seed) for seed in range(4)], axis=0) for each in (network(), private()))
    assert leaking[3:].min() > 0.575
    assert leaking[3:].min() > leaking[:3].max() + 0.01
    assert np.abs(kept - 0.5).max() < 0.045


def noisy_tables(scale: float, tables: int = 6, cells: int = 4) -> Callable[[int, int], float]:
    """Counts of one row and of two, each in so many tables, under Laplace noise of that scale."""
    without = np.zeros((tables, cells))
    without[:, 0] = 1
    member = without.copy()
    member[:, 1] = 1

    def bound(runs: int, seed: int) -> float:
        return mechanism_bound(
            lambda n, rng: member + rng.laplace(0, scale, (n, tables, cells)),
            lambda n, rng: without + rng.laplace(0, scale, (n, tables, cells)),
            lambda out: ((np.abs(out - without) - np.abs(out - member)) / scale).sum(axis=(1, 2)),
            runs,
            np.random.default_rng(seed),
        )

    return bound


@pytest.mark.parametrize("seed", range(3))
def test_the_white_box_finds_a_budget_not_split_and_a_sensitivity_halved(seed: int) -> None:
    right, not_split, halved = noisy_tables(6.0), noisy_tables(1.0), noisy_tables(3.0)
    assert 0 < right(RUNS, seed) <= 1
    assert not_split(RUNS, seed) > 3
    assert 1 < halved(RUNS, seed) <= 2
    assert halved(400, seed) < 1


def test_the_white_box_is_exact_where_the_ratio_takes_two_values() -> None:
    """Randomised response: an answer is true with probability e/(1+e), which is ε = 1 and no less."""
    share = np.e / (1 + np.e)
    found = mechanism_bound(
        lambda n, rng: rng.random(n) < share,
        lambda n, rng: rng.random(n) >= share,
        lambda out: np.where(out, 1.0, -1.0),
        RUNS,
        np.random.default_rng(2),
    )
    assert 0.9 < found <= 1


@pytest.mark.parametrize("kind", [Canaries, ShadowModels])
def test_without_the_generator_nothing_is_claimed(kind: type[Metric], real: Worlds, rng: np.random.Generator) -> None:
    found = kind(kind.Config())(real.evidence(real.fresh), rng)
    assert found.value is None
    assert (found.not_computed or "").startswith("the deep tier was not asked for: the generator would be trained ")


def test_too_few_trainings_or_rows_are_not_called_safe() -> None:
    found = shadowed(bootstrap, 1, 4)
    assert found.value is None and "4 trainings with and without 1 record" in (found.not_computed or "")
    few = planted(bootstrap, fits=1, copies=70)
    assert few.value is None and "could not show a leak of ε 1" in (few.not_computed or "")


@pytest.mark.parametrize(("kind", "planned"), [(Canaries, planting.planned_fits), (ShadowModels, shadows.planned_fits)])
def test_the_cost_is_known_before(kind: type[Metric], planned: Callable[[Metric.Config], int], real: Worlds) -> None:
    calls: list[int] = []

    def counted(table: Table, rows: int, rng: np.random.Generator) -> Table:
        calls.append(len(table))
        return bootstrap(table, rows, rng)

    evidence = Evidence(real.train, real.holdout, real.fresh, refit=Refit(counted))
    config = kind.Config.model_validate({"fits": 11})
    kind(config)(evidence, np.random.default_rng(0))
    assert len(calls) == planned(config) == 11


def test_strangers_are_nobody_and_keep_the_schema(real: Worlds, rng: np.random.Generator) -> None:
    birds = strangers(real.evidence(real.fresh), 300, rng)
    assert len(birds) == 300
    Table.conform(birds.schema, birds.frame)
    found = hashes(birds)
    assert len(np.unique(found)) == 300
    assert not np.isin(found, np.concatenate([hashes(real.train), hashes(real.holdout)])).any()


def test_canaries_are_few_and_stand_among_the_training_rows(real: Worlds) -> None:
    known = hashes(real.train)
    shares: list[float] = []

    def looked_at(table: Table, rows: int, rng: np.random.Generator) -> Table:
        shares.append(float((~np.isin(hashes(table), known)).mean()))
        assert np.isin(known, hashes(table)).all()
        return bootstrap(table, rows, rng)

    evidence = Evidence(real.train, real.holdout, real.fresh, refit=Refit(looked_at))
    Canaries(Canaries.Config(fits=10))(evidence, np.random.default_rng(0))
    assert np.mean(shares) == pytest.approx(0.01, rel=0.3)


def test_all_rows_of_a_person_come_and_go_together() -> None:
    rng = np.random.default_rng(4)
    train, holdout = (with_units(world(1_200, rng), 3, 10_000 * place) for place in range(2))
    seen: list[np.ndarray] = []

    def looked_at(table: Table, rows: int, rng: np.random.Generator) -> Table:
        seen.append(np.bincount(table.frame["person"].to_numpy(dtype=np.int64), minlength=400))
        return bootstrap(table, rows, rng)

    evidence = Evidence(train, holdout, holdout, refit=Refit(looked_at))
    config = ShadowModels.Config(targets=3, fits=40, rows=600)
    found = ShadowModels(config)(evidence, np.random.default_rng(0))
    together = np.array([np.isin(np.stack(seen)[:, person], (0, 3)).all() for person in range(400)])
    assert together.sum() == 3
    assert (found.value or 0) > 1
