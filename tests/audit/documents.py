"""Documents for the tests of the report: small ones, hostile ones, and a rich one of three models."""

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser

import numpy as np

from audit.core import Curve, Estimate, Interval
from audit.report.answers import Answer, Check, Control, Gate, ModelAudit, NotAsked, Rows, Waiver
from audit.report.document import ColumnRecord, Document, Environment, Inputs, Policy, Run
from audit.report.marginals import Marginal

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "{{ 7 * 7 }}{% raw %}",
    "age\u202egnp.exe",
    "\u05e9\u05dc\u05d5\u05dd",
    "👩‍👩‍👧‍👦" * 40,
    "x" * 10_000,
    "null\x00byte\x1b[31m",
    "</style><style>@import url(//elsewhere.example)</style>",
)


def estimate(value, spread=0.01, reference=0.1, detail=(), reason=None):
    known = value is not None
    return Estimate(
        value=value,
        interval=Interval(low=value - spread, high=value + spread) if known else None,
        reference=reference if known else None,
        reference_interval=Interval(low=reference - 0.02, high=reference + 0.02) if known else None,
        detail=detail,
        rows=100,
        not_computed=reason,
    )


def answer(found, title="Column shapes", better="lower"):
    return Answer(
        title=title, definition="Half the sum of differences, in [0, 1].", better=better, ideal=0, estimate=found
    )


def gate(found, verdict="passed", metric="fidelity.column_shapes"):
    return Gate(
        metric=metric,
        demand="wanted at most 0.3",
        verdict=verdict,
        value=found.value,
        interval=found.interval,
        reference=found.reference,
        bound=0.3,
        sentence="as demanded",
    )


def marginal(name="age", cells=20):
    share = tuple(np.full(cells, 1 / cells).tolist())
    return Marginal(
        column=name, reads="numbers", labels=tuple(f"{i} to {i + 1}" for i in range(cells)), real=share, synthetic=share
    )


def model(name="gmm", **changes):
    found = estimate(0.12)
    given = {
        "name": name,
        "settings": {"components": 8, "nested": {"a": [1, None]}},
        "notes": {"epochs": 3.0},
        "seconds": {"train": 61.2},
        "synthetic": Rows(rows=1000, sha256="a" * 64),
        "verdict": "accepted",
        "reasons": ("all demands are met",),
        "gates": (gate(found),),
        "estimates": {"fidelity": {"column_shapes": answer(found)}},
        "marginals": (marginal(),),
        "contract": (Check(expectation="expect_column_to_exist", column="age", success=True, sentence="age is there"),),
    }
    return ModelAudit(**(given | changes))


def document(models=None, names=("age",), **changes):
    models = (model(),) if models is None else models
    given = {
        "run": Run(
            spec="people", run="r1", when=datetime(2026, 5, 1, 12, tzinfo=UTC), seed=0, commit="c" * 40, version="0.1.0"
        ),
        "inputs": Inputs(
            source="people.csv",
            read=Rows(rows=2000, sha256="b" * 64),
            train=Rows(rows=1400),
            holdout=Rows(rows=600),
            split_by="unit",
            unit="person",
            columns=tuple(
                ColumnRecord(name=name, kind="integer", fate="modelled", note="whole numbers") for name in names
            ),
        ),
        "models": models,
        "chosen": next((each.name for each in models if each.verdict == "accepted"), None),
        "verdict": "accepted" if any(each.verdict == "accepted" for each in models) else "refused",
        "environment": Environment(lock_sha256="d" * 64, packages={"numpy": "2.0"}, machine="Linux"),
    }
    return Document(**(given | changes))


class Page(HTMLParser):
    """Collects what a browser would read: tags, attributes, text, headings."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.words, self.headings, self.ids = [], [], [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.ids += [value for key, value in attrs if key == "id"]

    def handle_data(self, data):
        self.words.append(data)


COLUMNS = ("sex", "city", "age", "income", "approved")
FRESH, MADE = "fresh real rows", "synthetic rows"


def spread(value, width=0.02):
    return Interval(low=value - width, high=value + width)


def attacked(leak):
    """A membership attack: its curves on logarithmic axes and its attacks one by one."""
    rates = np.geomspace(0.001, 1, 60)
    found, fresh = rates**leak, rates**0.98
    lines = {MADE: found, FRESH: fresh, "control, low": fresh * 0.8, "control, high": np.minimum(fresh * 1.2, 1)}
    rows = [("quantity", "reference rows"), ("quantity", "rows attacked")]
    return Estimate(
        value=1 / (1 + leak),
        interval=spread(1 / (1 + leak)),
        reference=0.5,
        reference_interval=spread(0.5),
        curves=tuple(Curve(name=name, x=tuple(rates), y=tuple(y)) for name, y in lines.items()),
        detail=(
            {"attack": "nearness of a released row", "auc": 0.52, "low": 0.5, "high": 0.54, "reference": 0.5},
            *({key: value, "value": 1200, "reference": 1200} for key, value in rows),
        ),
        rows=5000,
    )


def groups(scale=0.1):
    rows = []
    for place, (column, group, count) in enumerate(
        [
            ("sex", "female", 2400),
            ("sex", "male", 2600),
            ("age", "≤ 36", 900),
            ("age", "(36, 45]", 800),
            ("sex x age", "female x ≤ 36", 7),
        ]
    ):
        ratio = 1 + scale * (place - 2) / 2
        rows.append(
            {
                "column": column,
                "group": group,
                "rows_real": count,
                "ratio": ratio,
                "low": ratio * 0.9,
                "high": ratio * 1.1,
            }
        )
    return tuple(rows)


def answers(leak=0.97):
    """Every kind of picture once."""
    pairs = tuple(
        {"first": a, "second": b, "distance": 0.04 * (i + 1), "reference": 0.02, "ratio": 2.0 * (i + 1)}
        for i, (a, b) in enumerate((a, b) for a in COLUMNS for b in COLUMNS if a < b)
    )
    shares = (0.01, 0.1, 1.0)
    curve = (Curve(name=FRESH, x=shares, y=(0.3, 0.1, 0.03)), Curve(name=MADE, x=(0.2,), y=(0.07,)))
    power = (Curve(name="power", x=(0.01, 0.02, 0.05, 0.1), y=(0.1, 0.8, 2.1, 2.9)),)
    giveaways = (
        *({"column": name, "auc_lost_when_shuffled": 0.1 / (k + 1)} for k, name in enumerate(COLUMNS)),
        {"region": "age > 37.5 and sex = female", "synthetic": 0.31, "real": 0.12},
        {"easiest": 1, "score": 0.93, "row": "sex = female, age = 44"},
    )
    secrets = tuple(
        {"secret": name, "attack": "nearest row", "r": 0.03, "low": 0.0, "high": 0.06, "reference": 0.01}
        for name in ("approved", "sex")
    )
    rules = (
        {"rule": "if city = north then sex = male", "broken_rows": 12, "share": 0.002, "example": "city = north"},
        {"rule": "age >= 18", "broken_rows": 0, "share": 0.0, "example": None},
    )

    def said(found, title, better="lower", ideal=0.0):
        return Answer(
            title=title, definition="A share, 0 (none) to 1 (all).", better=better, ideal=ideal, estimate=found
        )

    return {
        "privacy": {
            "membership_inference": said(attacked(leak), "Membership inference", ideal=0.5),
            "membership_epsilon": said(estimate(0.1).model_copy(update={"curves": power}), "Membership ε"),
            "attribute_inference": said(estimate(0.03, detail=secrets), "Attribute inference"),
        },
        "fidelity": {
            "pair_trends": said(estimate(0.06, detail=pairs), "Pair trends"),
            "subsample_equivalence": said(
                estimate(0.2, reference=1.0).model_copy(update={"curves": curve}),
                "Subsample equivalence",
                "higher",
                1.0,
            ),
            "detection": said(estimate(0.55, reference=0.5, detail=giveaways), "Detection", ideal=0.5),
        },
        "utility": {"train_synthetic_test_real": said(estimate(0.8, reference=0.82), "Train and test", "higher", 1.0)},
        "bias": {"group_shares": said(estimate(1.2, reference=1.1, detail=groups()), "Group shares", ideal=1.0)},
        "validity": {"declared_rules": said(estimate(0.002, reference=0.0, detail=rules), "Declared rules")},
    }


def controls():
    def one(name, expected, got, right):
        return Control(name=name, title="", expected=expected, got=got, right=right, gates=(gate(estimate(0.3), got),))

    return (
        one("fresh", "passed", "passed", True),
        one("copy", "failed", "failed", True),
        one("paste", "failed", "inconclusive", None),
        one("shuffled", "failed", "passed", False),
    )


def rich(names=("bayesian_network", "vae", "gmm")):
    """Three models with every kind of picture, controls, a waiver and a gate that was not asked."""
    waiver = Waiver(reason="looked at again in spring", author="Dana Reyes", expires=date(2026, 12, 1))
    models = []
    for place, name in enumerate(names):
        found = answers((0.97, 0.7, 0.3)[place % 3])
        gates = [
            Gate(
                metric=f"{question}.{metric}",
                demand="at most 0.2",
                verdict=("passed", "inconclusive", "failed")[place % 3],
                value=one.estimate.value,
                interval=one.estimate.interval,
                reference=one.estimate.reference,
                bound=0.2,
                fails_beyond=1.0,
                power="a leak of 2 % of the rows would have been seen",
                waiver=waiver if metric == "detection" else None,
                sentence="as was demanded",
            )
            for question, held in found.items()
            for metric, one in held.items()
        ]
        models.append(
            model(
                name,
                verdict=("accepted", "inconclusive", "refused")[place % 3],
                gates=tuple(gates),
                estimates=found,
                controls=controls(),
                not_asked=(NotAsked(metric="privacy.canaries", reason="the deep tier was not asked for"),),
                marginals=(
                    marginal("age"),
                    Marginal(
                        column="sex", reads="codes", labels=("female", "male"), real=(0.4, 0.6), synthetic=(0.5, 0.5)
                    ),
                ),
            )
        )
    policy = Policy(name="analytics", purpose="counting and regressing", sha256="e" * 64, audits_so_far=3)
    return document(tuple(models), names=COLUMNS, policy=policy)
