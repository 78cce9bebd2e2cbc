"""The contract's two stages: real rows coming in, synthetic rows going out."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from audit.report.document import Check, NotAsked
from pipeline.declarations import declared, fitting
from pipeline.errors import Mistake
from pipeline.gates import Asked
from pipeline.making import real_rows, schema_of, shards
from pipeline.places import masked
from pipeline.policies import asked, policy
from pipeline.stages import Call
from pipeline.steps import fingerprint, once
from pipeline.terminal import say
from pipeline.workspace import Workspace, read_json, write_json, write_parquet


def contract(this: Call) -> dict[str, JsonValue]:
    """Make the suite of the schema and hold the real rows against it, and against the declared rules.

    A declared rule that real rows break stops nothing: it is recorded, and the audit says what follows from it.

    Raises:
        Mistake: If real rows break the suite, or a declared rule does not fit the schema.
    """
    from pipeline.contract import DECLARED_RULE, WRONG_RULE, build_suite, run_rules, run_suite, wrong_rules

    workspace = this.workspace
    rules = fitting(this.spec.rules, schema_of(workspace))
    demanded(this)  # whatever is wrong with gates, waivers or declarations is said before anything is trained
    mark = fingerprint({"rules": list(this.spec.rules)}, [workspace.schema, workspace.train, workspace.holdout])

    def check_real() -> None:
        write_json(workspace.suite, build_suite(schema_of(workspace)))
        results: list[JsonValue] = []
        for part in ("train", "holdout"):
            rows = real_rows(workspace, part)
            found = [*run_suite(read_json(workspace.suite), rows), *run_rules(rules, rows)]
            results += [{"rows": part, **result.model_dump(mode="json")} for result in found]
        write_json(workspace.real_contract, results)

    once(workspace, "contract", mark, [workspace.suite, workspace.real_contract], check_real)
    results = read_json(workspace.real_contract)
    for sentence in wrong_rules(real_checks(workspace, "train")):
        say(f"warning: {sentence}")
    broken = broken_sentences(results, (DECLARED_RULE, WRONG_RULE))
    if broken:
        raise Mistake(f"{masked(this.spec.source.path)}: real rows break the contract: {'; '.join(broken)}")
    doubtful = len(broken_sentences(results, (WRONG_RULE,)))
    this.show("contract", 1.0, f"real rows break declared rules: {doubtful}" if doubtful else "real rows keep it")
    return {"suite": str(workspace.suite)}


def check(this: Call) -> dict[str, JsonValue]:
    """Join one model's shards and hold the synthetic rows against the suite."""
    workspace, name = this.workspace, this.models[0]
    parts = [workspace.shard(name, index) for index in range(shards(this))]
    missing = [path.name for path in parts if not path.exists()]
    if missing:
        raise Mistake(f"model {name!r}: shards {', '.join(missing)} are not there; run `generate` first")
    mark = fingerprint({"model": name}, [workspace.suite, *parts])

    def join_and_check() -> None:
        from pipeline.contract import hold

        rows = pa.concat_tables(pq.read_table(path) for path in parts)
        schema = schema_of(workspace).published
        write_parquet(workspace.synthetic(name), rows, {"lookalike.label": "synthetic"})
        found = hold(schema, rows.to_pandas(date_as_object=False))
        write_json(workspace.contract(name), [result.model_dump(mode="json") for result in found])

    once(workspace, f"check.{name}", mark, [workspace.synthetic(name), workspace.contract(name)], join_and_check)
    this.show(f"check {name}", 1.0, "done")
    return {"model": name, "synthetic": str(workspace.synthetic(name))}


def demanded(this: Call) -> tuple[tuple[Asked, ...], tuple[NotAsked, ...]]:
    """Return the gates that count in a run, and those that its table gives nothing to judge by.

    Raises:
        Mistake: If the policy, a waiver or a declaration is wrong.
    """
    schema = schema_of(this.workspace).published
    known = declared(this.spec, schema)
    return asked(policy(this.spec.policy, this.workspace.root), this.spec, schema, known, deep=this.spec.deep)


def real_checks(workspace: Workspace, part: str) -> tuple[Check, ...]:
    """Return what the contract found of one part of the real rows."""
    results = read_json(workspace.real_contract)
    records = [dict(each) for each in results if isinstance(each, dict)] if isinstance(results, list) else []
    return tuple(Check.model_validate(each) for each in records if each.pop("rows", None) == part)


def broken_sentences(results: JsonValue, other_than: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the sentences of the expectations that were not met, those of some kinds left out."""
    records = [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []
    return tuple(
        str(each["sentence"])
        for each in records
        if not each.get("success") and each.get("expectation") not in other_than
    )
