"""The JSON Schema of the document, so that programs in any language can read an audit and check it."""

import inspect
import json
import re
from typing import Any

from pydantic import BaseModel

from audit.core import Curve, Estimate, Interval
from audit.report.answers import Part
from audit.report.document import Document
from audit.report.marginals import Marginal

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAME = "audit.schema.json"
_FIELD = re.compile(r"^    (\w+): ", re.M)
INTERVAL = {
    "low": "Where the interval begins.",
    "high": "Where it ends.",
    "level": "How often such an interval holds the true value, in (0, 1).",
}


def json_schema() -> str:
    """Return the schema of `audit.json` and `audit.public.json`, each field with what it means."""
    tree = Document.model_json_schema(mode="serialization")
    kinds: list[type[BaseModel]] = [*_descendants(Part), Interval, Curve, Estimate, Marginal]
    parts = tree["$defs"] | {Document.__name__: tree}
    for kind in kinds:
        if kind.__name__ in parts:
            _describe(parts[kind.__name__], kind)
    return json.dumps({"$schema": DIALECT, "$id": NAME} | tree, indent=2, ensure_ascii=False) + "\n"


def _descendants(kind: type[BaseModel]) -> list[type[BaseModel]]:
    return [each for child in kind.__subclasses__() for each in (child, *_descendants(child))]


def _describe(part: dict[str, Any], kind: type[BaseModel]) -> None:
    """Put the docstring's words beside the fields that they are about."""
    doc = inspect.getdoc(kind) or ""
    part["description"] = " ".join(re.split(r"\n\n(?:Attributes|Raises):", doc)[0].split())
    told = INTERVAL if kind is Interval else _fields(doc)
    for field, schema in part["properties"].items():
        schema["description"] = told[field]


def _fields(doc: str) -> dict[str, str]:
    """Read the section of attributes of a docstring."""
    section = re.split(r"\n\n(?=\w+:\n)", doc.partition("Attributes:\n")[2])[0]
    parts = _FIELD.split("\n" + section)[1:]
    return {name: " ".join(words.split()) for name, words in zip(parts[::2], parts[1::2], strict=True)}
