"""The document as one self-contained HTML page: no script, no request to anywhere."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from audit.core import Question
from audit.report import demands, view, wording
from audit.report.document import Document, Missing
from audit.report.label import label

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
        "Rows that break the schema or a rule, or hold combinations that the real rows rule out.",
    ),
    "privacy": (
        "Do the rows give away who was in the training data?",
        "Attacks and comparisons that use training rows and, as a control, holdout rows. What works equally well on "
        "both gives away nothing about membership.",
    ),
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
WORDS: dict[str, str] = {
    "accepted": "PASS",
    "refused": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "invalid": "INVALID",
}
SPREAD: dict[str, str] = {
    "interval": "a sample’s, with a 95 % interval",
    "exact": "a count over all rows, exact for this table",
    "bound": "itself a bound at 95 % confidence",
}
CONTROLS: dict[str, str] = {
    "fresh": "Real rows that no model saw, handed in as if they were synthetic",
    "copy": "The training rows themselves, handed in as if they were synthetic",
    "paste": "The release with some training rows pasted in",
    "shuffled": "Training rows with every column shuffled by itself",
}
LIMITS_AT_ONCE = 3


def render(document: Document) -> str:
    """Return the page; the same document gives the same page."""
    models = view.chosen_first(document)
    asked = [(question, *ASKED[question], view.metrics(document, question)) for question in demands.ORDER]
    return (
        environment()
        .get_template("page.html")
        .render(
            document=document,
            headline=demands.headline(document),
            word=WORDS[document.verdict],
            asked=asked,
            models=[(model, demands.rows(model), view.marginal_charts(model)) for model in models],
            overview=demands.overview(models),
            tried=demands.tried(models),
            waived=demands.waived(models),
            not_asked=demands.not_asked(models),
            not_computed=_reasons(document),
            label=label(document),
            titles=_titles(document),
        )
    )


def _titles(document: Document) -> dict[str, str]:
    """Return every metric's name for people."""
    return {
        f"{question}.{name}": answer.title
        for model in document.models
        for question, answers in model.estimates.items()
        for name, answer in answers.items()
    }


def _reasons(document: Document) -> list[tuple[str, str, list[str]]]:
    """Return what was not computed: title, reason, and the models that it concerns."""
    found: dict[tuple[str, str], list[str]] = {}
    demanded = [
        Missing(model=model.name, metric=row.gate.metric, title=row.title, reason=row.reason)
        for model in document.models
        for row in demands.rows(model)
        if row.answer is None
    ]
    for missing in (*document.missing, *demanded):
        found.setdefault((missing.title, missing.reason), []).append(missing.model)
    return [(title, reason, names) for (title, reason), names in found.items()]


@cache
def environment() -> Environment:
    """Return the templates, with the report's ways of writing names and numbers."""
    templates = Environment(
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
        wording.limit,
        wording.percent,
        wording.seconds,
        wording.plain,
        wording.leaves,
        wording.badge,
        wording.day,
    ):
        templates.filters[spoken.__name__] = spoken
    templates.filters |= {"text": wording.clean, "expectation": wording.expectation}
    templates.globals |= {
        "contract": view.contract,
        "fates": FATES,
        "better": BETTER,
        "spreads": SPREAD,
        "control_titles": CONTROLS,
        "limits_at_once": LIMITS_AT_ONCE,
        "listed_columns": view.LISTED_COLUMNS,
        "listed_breaches": view.LISTED_BREACHES,
    }
    return templates
