"""The JSON Schema of the document: the committed file is what the code gives, and documents keep it."""

import json
from pathlib import Path

import jsonschema
import pytest

from audit.report.public import scrub
from audit.report.schema_file import NAME, json_schema
from tests.audit.documents import document, rich

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / NAME


@pytest.fixture(scope="module")
def schema():
    return json.loads(json_schema())


def test_the_committed_schema_is_what_the_code_gives():
    assert COMMITTED.read_text(encoding="utf-8") == json_schema()


@pytest.mark.parametrize("made", [document, rich, lambda: scrub(rich())])
def test_documents_keep_the_schema(schema, made):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(made().to_json()))


def test_what_the_document_does_not_know_is_refused(schema):
    tree = json.loads(document().to_json()) | {"score": 1}
    assert not jsonschema.Draft202012Validator(schema).is_valid(tree)
    del tree["score"], tree["verdict"]
    assert not jsonschema.Draft202012Validator(schema).is_valid(tree)


def test_every_part_and_every_field_says_what_it_is(schema):
    parts = {"Document": schema} | schema["$defs"]
    for name, part in parts.items():
        if "properties" in part:
            assert part["description"].endswith((".", ":")), name
            for field, told in part["properties"].items():
                assert len(told["description"]) > 3, f"{name}.{field}"
