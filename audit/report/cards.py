"""Cards for a hub: what the released rows or the model are, as Markdown under metadata that Hugging Face reads."""

import json
from collections.abc import Iterator, Sequence

from audit.report import demands
from audit.report.answers import ModelAudit
from audit.report.document import ColumnRecord, Document
from audit.report.public import scrub
from audit.report.wording import clean, day, number

SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
)
WORDS = {"accepted": "PASS", "refused": "FAIL", "inconclusive": "INCONCLUSIVE", "invalid": "INVALID"}
CLASSES = {"categorical", "boolean", "ordinal", "constant"}
MARKUP = "\\`*_{}[]()#+!|~"
MOST_COLUMNS = 100
DO = (
    "developing and testing software that will later read the real rows",
    "teaching, and rehearsing an analysis before it is run on the real rows",
    "the purpose of the policy above, within what its gates show",
)
DO_NOT = (
    "decisions about any person: no row is anybody’s",
    "findings that are reported without repeating them on real rows; p-values computed here come out too small",
    "groups, columns or combinations that are rare: they are least like the real ones",
    "claims that publishing these rows is safe or lawful because an audit passed; see what was not shown",
)


def dataset_card(document: Document, release: str, license: str | None = None) -> str:
    """Return the card of released rows, made of the public edition only.

    Args:
        document: The audit, of either edition.
        release: Name of the release.
        license: Identifier of the licence, as Hugging Face spells it; None where nobody chose one.

    Raises:
        ValueError: If no model's rows are released.
    """
    public, model = _released(document)
    size = next((name for most, name in SIZES if model.synthetic.rows < most), "n>1B")
    metadata: dict[str, object] = {"license": license} if license else {}
    metadata |= {
        "pretty_name": f"{release} (synthetic)",
        "tags": ["synthetic", "tabular", "lookalike"],
        "task_categories": _tasks(public),
        "size_categories": [size],
        "annotations_creators": ["machine-generated"],
        "configs": [{"config_name": "default", "data_files": "synthetic.parquet"}],
    }
    parts = [
        f"# {_words(release)}",
        "**Synthetic data.** These rows were drawn from a model. They are not shown to be anonymous.",
        _what(public, model),
        _columns(public),
        "## How to load",
        _code("python", "import pandas", "", 'rows = pandas.read_parquet("synthetic.parquet")'),
        *_judged(public, model),
        *_uses(),
        _provenance(public, model, release),
    ]
    return _front(metadata) + "\n\n".join(parts) + "\n"


def model_card(document: Document, release: str) -> str:
    """Return the card of the model whose rows were released, made of the public edition only.

    Args:
        document: The audit, of either edition.
        release: Name of the release.

    Raises:
        ValueError: If no model's rows are released.
    """
    public, model = _released(document)
    metadata: dict[str, object] = {
        "tags": ["synthetic", "tabular", "lookalike", model.name.replace("_", "-")],
        "datasets": [release],
        "metrics": ["roc_auc"],
    }
    settings = [f"| {_words(key)} | {_words(json.dumps(value))} |" for key, value in model.settings.items()]
    parts = [
        f"# {_words(model.name)} behind {_words(release)}",
        "**A generator of synthetic rows.** It learned from real rows, which are not published.",
        "The audit below judged one set of rows drawn from this model. It shows nothing about the model itself: "
        "whoever holds a model can attack it in ways that rows alone do not allow, and other rows drawn from it were "
        "not judged.",
        _what(public, model),
        "## Settings",
        "\n".join(["| Setting | Value |", "|---|---|", *settings]) if settings else "None that are public.",
        "## How to draw rows",
        "Where the run's folder still is (a synthesizer is never published):",
        _code("sh", f"lookalike sample {_shell(release)} --rows {model.synthetic.rows} --out rows.parquet"),
        *_judged(public, model),
        *_uses(),
        _provenance(public, model, release),
    ]
    return _front(metadata) + "\n\n".join(parts) + "\n"


def _released(document: Document) -> tuple[Document, ModelAudit]:
    public = scrub(document)
    model = next((each for each in public.models if each.name == public.chosen), None)
    if model is None:
        raise ValueError("chosen: got none, wanted a model whose rows are released")
    return public, model


def _front(metadata: dict[str, object]) -> str:
    """Return metadata as YAML, every text quoted; JSON's quotes are YAML's double quotes."""
    lines = [line for key, value in metadata.items() for line in _yaml(key, value)]
    return "\n".join(["---", *lines, "---", "", ""])


def _yaml(key: str, value: object) -> Iterator[str]:
    if isinstance(value, list):
        yield f"{key}:"
        for each in value:
            if isinstance(each, dict):
                for place, (name, inner) in enumerate(each.items()):
                    yield f"{'  ' if place else '- '}{name}: {_quoted(inner)}"
            else:
                yield f"- {_quoted(each)}"
    else:
        yield f"{key}: {_quoted(value)}"


def _quoted(value: object) -> str:
    text = json.dumps(clean(value, 200), ensure_ascii=False)
    return text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\ufeff", "\\ufeff")


def _words(text: object, length: int = 300) -> str:
    """Return text that Markdown shows as it is: no markup, no HTML, one line."""
    shown = " ".join(clean(text, length).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{each}" if each in MARKUP else each for each in shown)


def _shell(text: str) -> str:
    return "".join(each if each.isalnum() or each in "-_." else "_" for each in text)[:100]


def _code(language: str, *lines: str) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _tasks(document: Document) -> list[str]:
    target = next((column for column in document.inputs.columns if column.role == "target"), None)
    if target is None:
        return ["other"]
    return ["tabular-classification" if target.kind in CLASSES else "tabular-regression"]


def _what(document: Document, model: ModelAudit) -> str:
    inputs = document.inputs
    split = "whole privacy units" if inputs.split_by == "unit" else "rows"
    return (
        f"## What the rows are\n\n{number(model.synthetic.rows)} synthetic rows of {len(inputs.columns)} columns, made "
        f"by the model family {_words(model.name)} from {number(inputs.train.rows)} real rows; "
        f"{number(inputs.holdout.rows)} more real rows were held out ({split} lie on one side) and seen by no model. "
        "Counts of real rows are rounded."
    )


def _columns(document: Document) -> str:
    columns = document.inputs.columns
    rows = [
        f"| {_words(column.name, 80)} | {column.kind} | {column.fate.replace('_', ' ')} | {_role(column)} |"
        for column in columns[:MOST_COLUMNS]
    ]
    more = f"\n\n{len(columns) - MOST_COLUMNS} more columns are not listed." if len(columns) > MOST_COLUMNS else ""
    return "## Columns\n\n" + "\n".join(["| Column | Kind | What happened | |", "|---|---|---|---|", *rows]) + more


def _role(column: ColumnRecord) -> str:
    return ", ".join(
        [*([] if column.role == "feature" else [column.role]), *(["sensitive"] if column.sensitive else [])]
    )


def _judged(document: Document, model: ModelAudit) -> list[str]:
    rows = [
        f"| {_words(row.question)} | {_words(row.title)} | {number(row.gate.value)} | {number(row.gate.reference)} | "
        f"{_words(row.gate.demand)} | {row.gate.verdict}{', waived' if row.gate.waiver else ''} |"
        for row in demands.rows(model)
    ]
    purpose = f": {_words(document.policy.purpose)}" if document.policy.purpose else ""
    table = ["| Question | Gate | Value | Fresh real rows | Demand | Verdict |", "|---|---|---|---|---|---|", *rows]
    return [
        f"## How they were judged\n\n**{WORDS[document.verdict]}.** {demands.headline(document)}. "
        f"Policy {_words(document.policy.name)}{purpose}.",
        "\n".join(table) if rows else "Nothing was demanded.",
        "## What was not shown",
        _list(_not_shown(document, model)),
    ]


def _not_shown(document: Document, model: ModelAudit) -> list[str]:
    found = [
        f"Waived until {day(gate.waiver.expires)}: {title}."
        for gate, title, _ in demands.waived([model])
        if gate.waiver
    ]
    found += [f"Not asked: {metric}. {reason}" for metric, reason, _ in demands.not_asked([model])]
    found += [f"Not computed: {each.title}. {each.reason}" for each in document.missing if each.model == model.name]
    wrong = [control.name for control in model.controls if control.right is None]
    found += [f"Whether the audit would have noticed was undecided for: {', '.join(wrong)}."] if wrong else []
    if document.policy.audits_so_far:
        found.append(f"These real rows were audited {document.policy.audits_so_far} times before.")
    return [*found, *document.limits]


def _uses() -> list[str]:
    return ["## Intended use", _list(DO), "## Do not use for", _list(DO_NOT)]


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {_words(line, 600)}" for line in lines)


def _provenance(document: Document, model: ModelAudit, release: str) -> str:
    told = {
        "release": release,
        "specification, run": f"{document.run.spec}, {document.run.run}",
        "audited": f"{day(document.run.when)} with Lookalike {document.run.version}",
        "source": document.inputs.source,
        "sha256 of the rows": model.synthetic.sha256,
        "sha256 of the policy": document.policy.sha256,
        "sha256 of the lock file": document.environment.lock_sha256,
        "git commit": document.run.commit,
    }
    rows = [f"| {key} | {_words(value)} |" for key, value in told.items() if value]
    return "## Provenance\n\n" + "\n".join(["| What | Value |", "|---|---|", *rows])
