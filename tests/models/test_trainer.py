"""The training loop: exact resume, early stopping, time budget, same seed same bytes."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.core.base import Silent, State
from models.core.descent import batch_size, learning_rate
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from tabular.layout import Block, Layout

LAYOUT = Layout(
    reads="one_hot",
    blocks=tuple(Block(column=name, part="value", start=i, stop=i + 1, kind="real") for i, name in enumerate("ab")),
)


class Gaussian(NeuralModel):
    """A small network that learns a shift and draws noise around it; its loss is noisy, to test the generator."""

    reads = "one_hot"

    def build(self) -> None:
        self.net = nn.Sequential(nn.Linear(2, 8), nn.SiLU(), nn.Linear(8, 2))

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        return (self.net(noise) - x).square().sum(1).mean()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        return self.net(torch.randn(n, 2, generator=generator, device=self.device))


class TwoPhases(Gaussian):
    """Trains two networks, one after the other, the second on rows that the first has mapped."""

    def build(self) -> None:
        super().build()
        self.second = nn.Linear(2, 2)

    def phases(self) -> list[Phase]:
        def second(x: Tensor, generator: torch.Generator) -> Tensor:
            return (self.second(x) - 1).square().mean()

        return [
            Phase([Objective("first", self.loss, list(self.net.parameters()))]),
            Phase([Objective("second", second, list(self.second.parameters()))], view=self.net),
        ]


class Game(Gaussian):
    """Two objectives that take turns."""

    def build(self) -> None:
        super().build()
        self.critic = nn.Linear(2, 1)

    def phases(self) -> list[Phase]:
        def critic(x: Tensor, generator: torch.Generator) -> Tensor:
            return self.critic(x).square().mean()

        return [
            Phase(
                [
                    Objective("critic", critic, list(self.critic.parameters())),
                    Objective("generator", self.loss, list(self.net.parameters()), every=3),
                ]
            )
        ]


class Killed(Exception):
    """Stands for a kill."""


class Folder(Silent):
    """Keeps the last checkpoint, and dies after so many."""

    def __init__(self, lives: int) -> None:
        self.lives = lives
        self.kept: State | None = None

    def save(self, checkpoint: State) -> None:
        assert all(isinstance(array, np.ndarray) and array.dtype != object for array in checkpoint.values())
        self.kept = {name: array.copy() for name, array in checkpoint.items()}
        self.lives -= 1
        if self.lives == 0:
            raise Killed

    def restore(self) -> State | None:
        return self.kept


def rows(n: int = 300) -> np.ndarray:
    return np.random.default_rng(7).normal([1.0, -2.0], 0.1, (n, 2)).astype(np.float32)


def made(kind: type[Gaussian], **training: object) -> Gaussian:
    settings = {"epochs": 6, "patience": 6, "checkpoint_seconds": 0.0, **training}
    return kind(kind.Config(training=TrainerConfig.model_validate(settings), device="cpu"), LAYOUT)


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("kind", [Gaussian, TwoPhases, Game])
def test_killed_after_any_checkpoint_and_resumed_equals_uninterrupted(kind):
    whole = made(kind).fit(rows(), np.random.default_rng(3))
    for lives in itertools.count(1):
        folder = Folder(lives)
        try:
            made(kind).fit(rows(), np.random.default_rng(3), folder)
        except Killed:
            resumed = made(kind).fit(rows(), np.random.default_rng(3), folder)
            assert same(whole.state(), resumed.state()), f"differs after {lives} checkpoints"
            assert whole.notes == resumed.notes
        else:
            break
    assert lives > 5 * len(made(kind).fit(rows(40), np.random.default_rng(0)).phases())


def test_the_callers_rng_goes_on_alike_after_a_resume():
    first, second = np.random.default_rng(3), np.random.default_rng(3)
    made(Gaussian).fit(rows(), first)
    folder = Folder(2)
    with pytest.raises(Killed):
        made(Gaussian).fit(rows(), np.random.default_rng(3), folder)
    made(Gaussian).fit(rows(), second, folder)
    assert first.integers(2**62) == second.integers(2**62)


def test_checkpoints_keep_their_distance():
    folder = Folder(-1)
    made(Gaussian, checkpoint_seconds=1000.0).fit(rows(), np.random.default_rng(3), folder)
    assert folder.kept is None


def test_same_seed_same_bytes_and_another_seed_others():
    states = [made(Gaussian).fit(rows(), np.random.default_rng(seed)).state() for seed in (3, 3, 4)]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_nothing_global_moves():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    model = made(Gaussian, threads=threads + 1).fit(rows(), np.random.default_rng(3))
    model.sample(10, np.random.default_rng(3))
    made(Gaussian).load_state(model.state())
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


def test_it_learns_and_says_how():
    model = made(Gaussian, epochs=40, learning_rate=2e-2).fit(rows(), np.random.default_rng(3))
    assert np.abs(model.sample(500, np.random.default_rng(0)).mean(axis=0) - [1, -2]).max() < 0.1
    assert model.notes["stopped"] in ("all epochs", "early")
    assert model.notes["validation_loss"] < 0.2


class Worse(Gaussian):
    """Its training drives the validation loss up from the start: the sign is turned while training."""

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        loss = super().loss(x, generator)
        return -loss if self.training else loss


def test_early_stopping_keeps_the_best_weights():
    model = made(Worse, epochs=50, patience=3).fit(rows(), np.random.default_rng(3))
    assert (model.notes["stopped"], model.notes["epochs"], model.notes["best_epoch"]) == ("early", 4.0, 1.0)
    one = made(Worse, epochs=50, minutes=1e-9).fit(rows(), np.random.default_rng(3))
    assert same(model.state(), one.state())


def test_the_time_budget_stops_and_says_so():
    model = made(Gaussian, epochs=10_000, minutes=0.3 / 60).fit(rows(), np.random.default_rng(3))
    assert model.notes["stopped"] == "time budget"
    assert "depend on the machine" in str(model.notes["reproducible"])
    assert model.notes["epochs"] < 10_000


def test_a_budget_that_ended_an_earlier_phase_is_still_told():
    class Short(TwoPhases):
        def phases(self) -> list[Phase]:
            first, second = super().phases()
            return [first, replace(second, share=1e-9)]

    model = made(Short, epochs=10_000, minutes=1e-9).fit(rows(), np.random.default_rng(3))
    assert model.notes["stopped"] == "all epochs" and "reproducible" in model.notes


def test_divergence_is_an_error():
    class Infinite(Gaussian):
        def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
            return super().loss(x, generator) * torch.inf

    with pytest.raises(FloatingPointError, match="in epoch 1"):
        made(Infinite).fit(rows(), np.random.default_rng(3))


def test_progress_rises_to_one():
    seen: list[tuple[float, str]] = []

    class Listener(Silent):
        def progress(self, done: float, message: str) -> None:
            seen.append((done, message))

    made(TwoPhases).fit(rows(), np.random.default_rng(3), Listener())
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert seen[2][1].startswith("epoch 3 of 6, validation loss ")


@pytest.mark.parametrize("n", [1, 2, 5, 17])
def test_few_rows_train(n):
    model = made(Gaussian).fit(rows(n), np.random.default_rng(3))
    assert np.isfinite(model.sample(3, np.random.default_rng(0))).all()
    assert model.sample(0, np.random.default_rng(0)).shape == (0, 2)


def test_schedule_and_batches():
    config = TrainerConfig(learning_rate=1.0, warm_up=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and np.argmax(rates) in (9, 10) and rates[-1] < 1e-3
    assert all(a > b for a, b in itertools.pairwise(rates[10:]))
    assert [batch_size(n, 512) for n in (1, 10, 100, 1000, 30_000)] == [1, 10, 16, 32, 512]
    assert math.isclose(learning_rate(50, 100, TrainerConfig(learning_rate=1.0)), 0.5)


def test_bad_input_is_refused_in_plain_words():
    with pytest.raises(ValueError, match=r"wanted \(n, 2\)"):
        made(Gaussian).fit(np.zeros((5, 3), dtype=np.float32), np.random.default_rng(0))
    with pytest.raises(ValueError, match="not finite"):
        made(Gaussian).fit(np.full((5, 2), np.nan, dtype=np.float32), np.random.default_rng(0))
    with pytest.raises(ValueError, match="no weights yet"):
        made(Gaussian).sample(5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="do not fit"):
        made(Gaussian).load_state({"net.0.weight": np.zeros((3, 2), dtype=np.float32)})
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA"):
            Gaussian(Gaussian.Config(device="cuda"), LAYOUT).fit(rows(), np.random.default_rng(0))
