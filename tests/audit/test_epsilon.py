"""The bound on epsilon: it is never above the truth more often than said, and it is near it where much is known."""

import numpy as np
import pytest

from audit.epsilon import Queries, best_bound, lower_bound
from audit.intervals import clopper_pearson


def answers(rows: int, epsilon: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Randomised response: the mechanism whose ε is exact."""
    honest = np.exp(epsilon) / (1 + np.exp(epsilon))
    return (rng.random(rows) < honest).astype(float), (rng.random(rows) >= honest).astype(float)


def test_a_full_leak_shows_what_so_many_rows_can_show(rng: np.random.Generator) -> None:
    members, others = rng.normal(9, 1, 2_000), rng.normal(0, 1, 2_000)
    # Of 1,200 judged on either side all are found and none is wrong: both exact bounds leave 1 - 0.025^(1/1200).
    least = 0.025 ** (1 / 1_200)
    assert lower_bound(members, others, rng) == pytest.approx(np.log(least / (1 - least)), abs=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
def test_the_bound_holds_as_often_as_it_says_and_comes_near(epsilon: float, rng: np.random.Generator) -> None:
    bounds = np.array([lower_bound(*answers(5_000, epsilon, rng), rng) for _ in range(200)])
    assert (bounds > epsilon).mean() <= 0.05
    assert bounds.mean() >= 0.85 * epsilon


def test_scores_of_any_shape_without_a_leak_show_none(rng: np.random.Generator) -> None:
    draws = (rng.normal, rng.standard_cauchy, lambda size: rng.integers(0, 3, size).astype(float), np.zeros)
    bounds = [lower_bound(draw(size=900), draw(size=900), rng) for draw in draws[:2] for _ in range(60)]
    bounds += [lower_bound(draw(900), draw(900), rng) for draw in draws[2:] for _ in range(60)]
    assert np.mean(np.array(bounds) > 0) < 0.05
    assert max(bounds) < 0.2


def test_members_that_are_missed_only_where_nobody_else_is_found_count_too(rng: np.random.Generator) -> None:
    """A quarter of non-members are certainly none, and nobody else can be told: true over false negatives."""
    members, others = np.ones(4_000), (rng.random(4_000) > 0.25).astype(float)
    assert lower_bound(members, others, rng) > 4


def test_members_below_others_prove_nothing_of_membership(rng: np.random.Generator) -> None:
    assert lower_bound(rng.normal(0, 1, 900), rng.normal(9, 1, 900), rng) == 0


@pytest.mark.parametrize("sizes", [(0, 0), (1, 50), (50, 1), (2, 2), (0, 9)])
def test_few_scores_bound_nothing(sizes: tuple[int, int], rng: np.random.Generator) -> None:
    assert lower_bound(np.ones(sizes[0]), np.zeros(sizes[1]), rng) == 0


def test_more_confidence_bounds_less(rng: np.random.Generator) -> None:
    members, others = answers(3_000, 1.0, rng)  # one threshold only, whatever the level
    bounds = [lower_bound(members, others, np.random.default_rng(1), level) for level in (0.8, 0.95, 0.999)]
    assert bounds[0] > bounds[1] > bounds[2] > 0


def test_only_the_order_of_scores_matters(rng: np.random.Generator) -> None:
    members, others = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    before = lower_bound(members, others, np.random.default_rng(1))
    assert lower_bound(np.exp(members), np.exp(others), np.random.default_rng(1)) == before


def test_the_attack_is_chosen_on_other_queries_than_it_is_judged_on(rng: np.random.Generator) -> None:
    noise = [Queries(*rng.normal(size=(2, 50, 300))) for _ in range(2)]
    assert best_bound(noise[0], noise[1]) < 0.2
    assert best_bound(noise[0], noise[0]) >= best_bound(noise[0], noise[1])
    leak = [Queries(side.members + 3 * (np.arange(50) == 7)[:, None], side.others) for side in noise]
    assert best_bound(leak[0], leak[1]) == best_bound(leak[0].only(7), leak[1].only(7)) > 2


def test_the_power_is_what_pastes_show(rng: np.random.Generator) -> None:
    others = [rng.normal(size=(1, size)) for size in (2_000, 3_000)]
    copied = [Queries(np.full(each.shape, 9.0), each) for each in others]
    promised = [best_bound(*copied, share=share) for share in (0.0, 0.01, 0.05, 0.2, 1.0)]
    assert promised[0] == 0 and (np.diff(promised) > 0).all()
    seen = []
    for _ in range(100):
        pasted = [
            Queries(np.where(rng.random(each.shape) < 0.05, 9.0, rng.normal(size=each.shape)), each) for each in others
        ]
        seen.append(best_bound(*pasted))
    assert 0.75 < np.mean(np.array(seen) >= promised[2] - 1e-9) <= 1
    assert np.median(seen) == pytest.approx(promised[2], abs=0.4)
    low, _ = clopper_pearson(3_000, 3_000, 0.025)
    assert promised[-1] == pytest.approx(float(np.log(low / (1 - low))), abs=1e-12)
