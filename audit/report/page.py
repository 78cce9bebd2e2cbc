"""The document as one self-contained HTML page: no script, no request to anywhere."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.core import QUESTIONS, Question
from audit.report import view, wording
from audit.report.document import Document

ASKED: dict[Question, tuple[str, str]] = {
    "fidelity": (
        "Do the rows look like the real ones?",
        "Columns by themselves, columns together, and whether a classifier can tell synthetic from real rows.",
    ),
    "utility": (
        "Does what is learned from them hold for real rows?",
        "Models are trained on synthetic rows and tested on real rows that no generator saw.",
    ),
    "bias": (
        "Are groups of people shown as they are in the real rows?",
        "Shares and outcomes of the groups of the sensitive columns, compared with the real ones. A faithful copy of "
        "unfair data is still unfair.",
    ),
    "validity": (
        "Could every row exist?",
        "Rows that break the schema, or hold combinations that the real rows rule out.",
    ),
    "privacy": (
        "Do the rows give away who was in the training data?",
        "Attacks and comparisons that use training rows and, as a control, holdout rows. What works equally well on "
        "both gives away nothing about membership.",
    ),
}
VERDICTS: dict[str, str] = {
    "accepted": "Every demand was met",
    "refused": "No model’s rows met every demand",
    "inconclusive": "Not every demand could be shown to be met, or to be missed",
    "invalid": "The audit cannot be carried by this data, so nothing follows from it",
}
FATES: dict[str, str] = {
    "modelled": "modelled",
    "made_anew": "made anew, not learned from the real values",
    "left_out": "left out: free text reaches no model",
}
BETTER: dict[str, str] = {
    "lower": "Lower is better",
    "higher": "Higher is better",
    "none": "Reported only; nothing can be demanded of it",
}


def render(document: Document) -> str:
    """Return the page; the same document gives the same page."""
    return (
        _environment()
        .get_template("page.html")
        .render(
            document=document,
            asked=[(question, *ASKED[question], view.metrics(document, question)) for question in QUESTIONS],
            models=_chosen_first(document),
            not_computed=_reasons(document),
        )
    )


def _chosen_first(document: Document) -> list[tuple[object, ...]]:
    """Return each model with its lines and its charts, the chosen one first."""
    ordered = sorted(document.models, key=lambda model: model.name != document.chosen)
    return [(model, view.lines(model), view.marginal_charts(model)) for model in ordered]


def _reasons(document: Document) -> list[tuple[str, str, list[str]]]:
    """Return what was not computed: title, reason, and the models that it concerns."""
    found: dict[tuple[str, str], list[str]] = {}
    for model in document.models:
        for line in view.lines(model):
            if line.status == "not_computed":
                found.setdefault((line.title, line.reason), []).append(model.name)
    return [(title, reason, names) for (title, reason), names in found.items()]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("audit", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for spoken in (
        wording.name,
        wording.number,
        wording.tick,
        wording.percent,
        wording.seconds,
        wording.plain,
        wording.badge,
    ):
        environment.filters[spoken.__name__] = spoken
    environment.filters |= {"text": wording.clean, "expectation": wording.expectation}
    environment.globals |= {
        "contract": view.contract,
        "verdicts": VERDICTS,
        "fates": FATES,
        "better": BETTER,
        "limits_at_once": 3,
        "listed_columns": view.LISTED_COLUMNS,
        "listed_breaches": view.LISTED_BREACHES,
    }
    return environment
