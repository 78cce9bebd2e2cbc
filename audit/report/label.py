"""The label that goes with the rows wherever they go: that they are synthetic, who judged them, and how."""

import json

from audit.report.document import Document

STATEMENT = "Submitted as synthetic data: not rows of real people by intent. They are not shown to be anonymous."


def label(document: Document) -> str:
    """Return the label of the released rows as JSON, to be kept in the metadata of their file."""
    chosen = next((model for model in document.models if model.name == document.chosen), None)
    told = {
        "synthetic": True,
        "statement": STATEMENT,
        "specification": document.run.spec,
        "run": document.run.run,
        "audited": document.run.when.isoformat(),
        "verdict": document.verdict,
        "policy": document.policy.name,
        "policy_sha256": document.policy.sha256,
        "model": document.chosen,
        "rows": None if chosen is None else chosen.synthetic.rows,
        "sha256": None if chosen is None else chosen.synthetic.sha256,
        "made_by": f"Lookalike {document.run.version}",
    }
    return json.dumps({key: value for key, value in told.items() if value is not None}, indent=2, ensure_ascii=False)
