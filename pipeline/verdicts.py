"""All gates of a model, and what its controls say of the audit: one verdict, with its reasons."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict

from audit.controls import CONTROLS, Kind
from audit.core import Estimate
from audit.report.document import Control, Gate, GateVerdict, NotAsked
from pipeline.gates import Asked, Better, gate
from pipeline.spec import Demand

Word = Literal["accepted", "refused", "inconclusive", "invalid"]
Estimates = Mapping[str, Estimate]
SPOKEN: dict[Word, str] = {
    "accepted": "PASS",
    "refused": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "invalid": "INVALID",
}
EXIT_CODES: dict[str, int] = {"accepted": 0, "refused": 1, "inconclusive": 3, "invalid": 4}
# Gates of the generator itself, which rows in its place say nothing of.
OF_THE_MODEL = ("privacy.canaries", "privacy.shadow_models")
# What rows that are copies must miss in any audit; and rows whose columns know nothing of one another must be told
# from fresh real rows, at whatever distance.
SELF_TEST: dict[str, Demand] = {
    "privacy.exact_copies": Demand(at_most=0.005, fails_beyond=0.002),
    "privacy.membership_epsilon": Demand(at_most=0.2, fails_beyond=1),
    "fidelity.pair_trends": Demand(times_reference=1),
    "fidelity.worst_pair": Demand(times_reference=1),
}


class Verdict(BaseModel):
    """All gates of one model, and what follows from them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Word
    reasons: tuple[str, ...]
    gates: tuple[Gate, ...]
    not_asked: tuple[NotAsked, ...] = ()
    controls: tuple[Control, ...] = ()


class Findings(BaseModel):
    """What was found of one model.

    Attributes:
        estimates: Every metric's answer on the model's rows.
        controls: By control, the answers on its rows.
        broken_contract: Sentences of the contract that the rows break; any of them refuses.
        wrong_rules: Declared rules that most real rows break, a sentence each: the first reasons of any verdict.
        contaminated: Why the rows of nobody are no control; None where nothing speaks against them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    estimates: dict[str, Estimate]
    controls: dict[str, dict[str, Estimate]] = {}
    broken_contract: tuple[str, ...] = ()
    wrong_rules: tuple[str, ...] = ()
    contaminated: str | None = None


def judge(
    asked: Sequence[Asked],
    found: Findings,
    better: Mapping[str, Better],
    today: date,
    not_asked: tuple[NotAsked, ...] = (),
) -> Verdict:
    """Judge one model.

    Args:
        asked: The gates.
        found: What was found.
        better: Direction of each metric.
        today: The day on which waivers are looked at.
        not_asked: Gates that the table gives nothing to judge by.

    Returns:
        The verdict: invalid before refused before inconclusive before accepted. Nothing demanded is inconclusive.
    """
    gates = tuple(
        _counted(gate(each, found.estimates.get(each.metric), better.get(each.metric, "lower")), today)
        for each in asked
    )
    moot = {each.metric for each in not_asked}
    controls = tuple(
        _control(kind, questioned(kind, asked, today), found.controls.get(kind.name, {}), better)
        for kind in CONTROLS
        if not (kind.metrics and moot.issuperset(kind.metrics))
    )
    counted = [each for each in gates if not waived(each, today)]
    words: set[str] = {each.verdict for each in counted}
    reasons = [each.sentence for each in counted if each.verdict != "passed"]
    reasons += [f"the contract is broken: {sentence}" for sentence in found.broken_contract]
    reasons += [
        f"the waiver of {each.metric} expired on {each.waiver.expires}"
        for each in asked
        if each.waiver is not None and each.waiver.expires < today
    ]
    voids = [control.sentence for control in controls if control.right is False]
    voids += [] if found.contaminated is None else [found.contaminated]
    open_ = [control.sentence for control in controls if control.right is None]
    word: Word
    if not counted:
        word, reasons = "inconclusive", ["nothing was demanded, so nothing was shown", *reasons]
    elif voids or "invalid" in words:
        word = "invalid"
    elif "failed" in words or found.broken_contract:
        word = "refused"
    else:
        word = "inconclusive" if open_ or "inconclusive" in words else "accepted"
    reasons = [*found.wrong_rules, *([*voids, *reasons, *open_] or [f"all {len(counted)} demands are met"])]
    return Verdict(verdict=word, reasons=tuple(reasons), gates=gates, not_asked=not_asked, controls=controls)


def waived(each: Gate, today: date) -> bool:
    """Return whether a gate does not count today."""
    return each.waiver is not None and each.waiver.expires >= today


def _counted(each: Gate, today: date) -> Gate:
    """Return a gate without a waiver that has expired."""
    return each if each.waiver is None or waived(each, today) else each.model_copy(update={"waiver": None})


def overall(verdicts: Mapping[str, Verdict]) -> Word:
    """Return the run's verdict: accepted if any model is; else the gravest question left open."""
    words = {verdict.verdict for verdict in verdicts.values()}
    for word in ("accepted", "invalid", "inconclusive"):
        if word in words:
            return word
    return "refused"


def choose(
    verdicts: Mapping[str, Verdict], estimates: Mapping[str, Estimates], metric: str, better: Better
) -> str | None:
    """Return the accepted model that is best by one metric; the first named wins a tie; None if none is accepted."""
    accepted = [name for name, verdict in verdicts.items() if verdict.verdict == "accepted"]
    sign = -1.0 if better == "higher" else 1.0

    def rank(name: str) -> float:
        estimate = estimates[name].get(metric)
        return float("inf") if estimate is None or estimate.value is None else sign * estimate.value

    return min(accepted, key=rank, default=None)


def questioned(kind: Kind, asked: Sequence[Asked], today: date) -> tuple[Asked, ...]:
    """Return the gates that a control is put to.

    The control that must pass is put to every gate that counts; those that must fail to the self-test, whatever the
    policy demands, for they are about the audit and not about the rows.
    """
    if kind.metrics is not None:
        return tuple(Asked(name, SELF_TEST[name]) for name in kind.metrics)
    whole = [each for each in asked if each.metric not in OF_THE_MODEL]
    return tuple(each._replace(waiver=None) for each in whole if each.waiver is None or each.waiver.expires < today)


def _control(kind: Kind, asked: Sequence[Asked], estimates: Estimates, better: Mapping[str, Better]) -> Control:
    gates = tuple(gate(each, estimates.get(each.metric), better[each.metric]) for each in asked)
    words = {each.verdict for each in gates}
    got: GateVerdict = "passed"
    for word in ("failed", "invalid", "inconclusive"):
        if word in words:
            got = word
            break
    if not gates:
        got = "inconclusive"
    # A gate that calls fresh real rows invalid has found what it is there to find: they miss it.
    right = True if got == kind.expected else None if got == "inconclusive" else False
    return Control(
        name=kind.name,
        title=kind.title,
        question=kind.question,
        expected=kind.expected,
        got=got,
        right=right,
        gates=gates,
        sentence=_sentence(kind, gates, right, {each.not_computed for each in estimates.values()}),
    )


def _sentence(kind: Kind, gates: Sequence[Gate], right: bool | None, why: Collection[str | None]) -> str:
    if right:
        return f"control {kind.name!r} ({kind.title}) {kind.expected}, as it must"
    if not gates:
        return f"control {kind.name!r} ({kind.title}) was put to no gate"
    if right is None:
        if len(why) == 1 and (only := next(iter(why))) is not None:
            return f"control {kind.name!r} ({kind.title}) could not be judged: {only}"
        open_ = ", ".join(each.metric for each in gates if each.verdict == "inconclusive")
        return f"control {kind.name!r} ({kind.title}) could not be decided by {open_}: this audit has too little power"
    wrong = ("failed", "invalid") if kind.expected == "passed" else ("passed", "inconclusive")
    said = "; ".join(each.sentence for each in gates if each.verdict in wrong)
    return f"the audit is void: control {kind.name!r} ({kind.title}) must have {kind.expected}, but {said}"
