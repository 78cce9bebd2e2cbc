"""The white-box audit of a private mechanism: its noisy tables on worst-case neighbours, told apart by likelihood.

Black-box attacks on synthetic rows miss a budget that is not split or a sensitivity that is halved; whoever has the
noise's density and can run the mechanism often does not. A bound above the ε that is claimed proves a bug; a bound
below proves nothing.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from audit.epsilon import lower_bound
from audit.intervals import LEVEL

Floats = NDArray[np.float64]
RUNS = 20_000


def mechanism_bound(
    run_in: Callable[[int, np.random.Generator], Floats],
    run_out: Callable[[int, np.random.Generator], Floats],
    log_ratio: Callable[[Floats], Floats],
    runs: int,
    rng: np.random.Generator,
) -> float:
    """Return a lower bound, at 95 % confidence, on the ε of a mechanism whose outputs are seen as they are.

    A bug of a factor of two in the noise shows from some 20,000 runs on (`RUNS`); 400 miss it.

    Args:
        run_in: Returns the outputs of so many runs on the rows with the member, shape (runs, ...).
        run_out: The same on the rows without.
        log_ratio: Returns log p(output with the member) - log p(output without) of each run, shape (runs,), by the
            noise that the mechanism really adds: the most powerful test there is (Neyman & Pearson 1933).
        runs: Runs of each kind.
        rng: Source of the noise.
    """
    return lower_bound(log_ratio(run_in(runs, rng)), log_ratio(run_out(runs, rng)), rng, LEVEL)
