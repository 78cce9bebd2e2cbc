"""Metrics side by side: one model's rows, and the rows of the controls, each metric once."""

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from audit.controls import CONTROLS, Kind
from audit.core import Estimate, Evidence, NotComputable, Question
from pipeline.estimates import Measured
from pipeline.registry import metric, metrics
from pipeline.steps import generator
from pipeline.verdicts import OF_THE_MODEL

Tell = Callable[[float, str], None]
NOTHING: Mapping[str, str] = {}
# Those that take longest first, so that no thread ends alone; those that share a computation apart from each other, so
# that none waits for it: the first of them makes it, and the others, at the end, find it made.
QUEUE = (
    "bias.demographic_parity",
    "fidelity.sdmetrics_quality",
    "privacy.attribute_inference",
    "utility.train_synthetic_test_real_linear",
    "fidelity.detection",
    "privacy.membership_epsilon",
    "bias.subgroup_fidelity",
    "bias.proxy_strength",
    "fidelity",
    "privacy",
    "utility",
    "bias",
)


class Bench:
    """Where metrics of one audit are measured, on a few threads; controls that no model changes are measured once.

    Attributes:
        seed: The seed that everything random comes from.
        pool: The threads.
    """

    def __init__(self, seed: int, pool: ThreadPoolExecutor) -> None:
        self.seed = seed
        self.pool = pool
        self._lock = threading.Lock()
        self._made: dict[tuple[str, ...], Evidence | NotComputable] = {}
        self._measured: dict[tuple[str, str], Future[Estimate]] = {}

    def measure(
        self,
        evidence: Evidence,
        question: Question | None,
        gated: Collection[str],
        tell: Tell,
        out_of_reach: Mapping[str, str] = NOTHING,
    ) -> Measured:
        """Measure a model's rows, and those of the controls by the gated metrics.

        Args:
            evidence: What is looked at.
            question: The question to answer; None for all five.
            gated: Metrics that have a gate: what the control that must pass is put to.
            tell: Where progress goes, a share and a metric's name.
            out_of_reach: By question, why it cannot be answered here.
        """
        names = sorted(metrics(question), key=_place)
        inside = [name for name in names if name.split(".")[0] not in out_of_reach]
        asked = [
            (kind, name)
            for name in inside
            for kind in CONTROLS
            if name not in OF_THE_MODEL and name in (gated if kind.metrics is None else kind.metrics)
        ]
        progress = _Progress(len(inside) + len(asked), tell)
        own = {name: self.pool.submit(self._one, name, evidence, progress) for name in inside}
        controls = {(kind.name, name): self._control(kind, name, evidence, progress) for kind, name in asked}
        found: dict[str, dict[str, Estimate]] = {}
        for (control, name), future in controls.items():
            found.setdefault(control, {})[name] = future.result()
        estimates = {name: own[name].result() for name in metrics(question) if name in own}
        unseen = {name: out_of_reach[name.split(".")[0]] for name in metrics(question) if name not in own}
        self._forget()
        return Measured(
            estimates=estimates | {name: Estimate(value=None, not_computed=why) for name, why in unseen.items()},
            controls=found,
        )

    def estimates(self, evidence: Evidence, names: Sequence[str]) -> dict[str, Estimate]:
        """Measure some metrics on one evidence."""
        progress = _Progress(len(names), lambda share, name: None)
        found = {name: self.pool.submit(self._one, name, evidence, progress) for name in sorted(names, key=_place)}
        return {name: found[name].result() for name in names}

    def _control(self, kind: Kind, name: str, evidence: Evidence, progress: "_Progress") -> Future[Estimate]:
        """Return the answer of one metric on a control's rows, which may still be under way."""
        rows, make = kind.rows(name)
        with self._lock:
            if rows not in self._made:
                try:
                    self._made[rows] = make(evidence, generator(self.seed, "control", *rows))
                except NotComputable as reason:
                    self._made[rows] = reason
            key = (kind.name, name)
            if key not in self._measured:
                self._measured[key] = self.pool.submit(self._one, name, self._made[rows], progress)
            else:
                progress.step(name)
            return self._measured[key]

    def _forget(self) -> None:
        """Forget the controls that were made from one model's rows."""
        with self._lock:
            for kind in CONTROLS:
                if kind.of_model:
                    for rows in [rows for rows in self._made if rows[0] == kind.name]:
                        del self._made[rows]
                    for key in [key for key in self._measured if key[0] == kind.name]:
                        del self._measured[key]

    def _one(self, name: str, evidence: Evidence | NotComputable, progress: "_Progress") -> Estimate:
        """Compute one metric; its random numbers depend on the seed and its name only, so that models compare."""
        if isinstance(evidence, NotComputable):
            found = Estimate(value=None, not_computed=str(evidence))
        else:
            kind = metric(name)
            found = kind(kind.Config())(evidence, generator(self.seed, "audit", name))
        progress.step(name)
        return found


class _Progress:
    """Counts what is done, from any thread."""

    def __init__(self, total: int, tell: Tell) -> None:
        self.total = max(total, 1)
        self.tell = tell
        self.done = 0
        self.lock = threading.Lock()

    def step(self, name: str) -> None:
        with self.lock:
            self.done += 1
            self.tell(self.done / self.total, name)


@contextmanager
def bench(seed: int, threads: int | None = None) -> Iterator[Bench]:
    """Open a bench; learners get one thread each, for metrics run side by side.

    Args:
        seed: The seed.
        threads: Metrics at a time; as many as there are processors to run on where not given.
    """
    workers = threads or len(os.sched_getaffinity(0))
    with threadpool_limits(1), ThreadPoolExecutor(workers, "metric") as pool:
        yield Bench(seed, pool)


def _place(name: str) -> int:
    """Return where a metric stands in the queue."""
    return next((place for place, each in enumerate(QUEUE) if f"{name}.".startswith(f"{each}.")), len(QUEUE))
