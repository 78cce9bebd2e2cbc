"""The public edition: what tells of a few real rows is nowhere in it, and what stays is as the audit said."""

import json
import re
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core import Curve, Estimate
from audit.report.answers import Answer, Check, NotAsked, Waiver
from audit.report.coarse import count, figure, sentence
from audit.report.document import ColumnRecord, Document, Environment
from audit.report.marginals import Marginal
from audit.report.page import render
from audit.report.public import scrub
from tests.audit.documents import COLUMNS, Page, answer, document, estimate, gate, model, rich

SECRET = "zqvunique"
NUMBER = 918_273.645
COUNTED = 7
PLANTED = (SECRET, "918273", "918,273", "645", "Dana Reyes", "hunter2")


def planted():
    """A document that quotes a real row wherever a document can."""
    text = f"row 3 holds {SECRET} at {NUMBER}"
    details = (
        {"column": "sex", "group": SECRET, "rows_real": 400, "ratio": 1.1, "low": 1.0, "high": 1.2, "note": text},
        {"column": "sex", "group": "female", "rows_real": COUNTED, "ratio": 1.987, "low": 1.0, "high": 1.2},
        {"column": "age", "group": f"(17, {NUMBER}]", "rows_real": 400, "ratio": 1.1, "low": 1.0, "high": 1.2},
        {"rule": f"if city = {SECRET} then age <= {NUMBER}", "broken_rows": 3, "share": 0.1, "example": text},
        {"region": f"income > {NUMBER}", "synthetic": 0.3, "real": 0.1},
        {"easiest": 1, "score": 0.97, "row": text},
        {"first": f"city = {SECRET}", "second": f"age = {NUMBER}", "synthetic_rows": 4},
        {"column": SECRET, "distance": 0.1},
        {"record": 17, "score": NUMBER},
        {"attack": text, "auc": 0.6, SECRET: NUMBER},
    )
    found = Estimate(
        value=0.123456789,
        reference=0.1,
        detail=details,
        curves=(Curve(name=SECRET, x=(0.1, 1.0), y=(0.2, 1.0)),),
        power=text,
        rows=1000,
    )
    silent = estimate(None, reason=f"column 'city' holds only '{SECRET}'")
    waiver = Waiver(reason=text, author="Dana Reyes", expires="2026-12-01")
    told = gate(found).model_copy(update={"demand": text, "power": text, "sentence": text, "waiver": waiver})
    check = Check(
        expectation="expect_column_to_exist", column="city", success=False, unexpected=2 / 2000, sentence=text
    )
    odd = Check(expectation=SECRET, column=SECRET, success=False, sentence=text)
    marginals = (
        Marginal(column="city", reads="codes", labels=("north", SECRET), real=(0.99, 0.01), synthetic=(0.9, 0.1)),
        Marginal(
            column="age",
            reads="numbers",
            labels=("17", "18 to 20", f"{NUMBER} and over", "missing"),
            real=(0.3, 0.3, 0.2, 0.2),
            synthetic=(0.25, 0.25, 0.25, 0.25),
        ),
    )
    made = model(
        settings={"epochs": 30, "seed": 918273, "rate": 0.00012345, "bounds": [17.0, NUMBER], "top": SECRET},
        notes={"lowest": 17.0, SECRET: text},
        reasons=(text, "all 5 demands are met"),
        gates=(told,),
        not_asked=(NotAsked(metric="privacy.canaries", reason=text),),
        estimates={"fidelity": {"column_shapes": answer(found), "triple_trends": answer(silent)}},
        marginals=marginals,
        contract=(check, odd),
    )
    base = document((made,), names=("city", "age", "sex"))
    columns = tuple(
        ColumnRecord(name=name, kind=kind, fate="modelled", note=text)
        for name, kind in (("city", "categorical"), ("age", "integer"), ("sex", "categorical"))
    )
    inputs = base.inputs.model_copy(
        update={"columns": columns, "notes": (text,), "source": f"postgresql://u:hunter2@db/people?name={SECRET}"}
    )
    return base.model_copy(
        update={
            "run": base.run.model_copy(update={"seed": 918273}),
            "inputs": inputs,
            "contract": (check,),
            "reasons": (text,),
            "limits": (*base.limits, text),
            "environment": Environment(machine=text, packages={"numpy": "2.0", SECRET: text}),
        }
    )


def test_what_is_planted_is_found_in_the_internal_report():
    made = planted()
    assert SECRET in made.to_json() and SECRET in render(made)


@pytest.mark.parametrize("made", [lambda: scrub(planted()).to_json(), lambda: render(scrub(planted()))])
def test_nothing_planted_is_in_the_public_report(made):
    shown = made()
    for each in PLANTED:
        assert each not in shown, each
    assert '"17"' not in shown and ">17<" not in shown


def test_rows_are_nowhere_and_small_groups_are_gone():
    detail = scrub(planted()).models[0].estimates["fidelity"]["column_shapes"].estimate.detail
    assert not any({"row", "example", "region", "easiest", "record"} & row.keys() for row in detail)
    assert not any(row.get("ratio") == pytest.approx(1.987) or row.get("rows_real") == COUNTED for row in detail)
    assert {row["group"] for row in detail if "group" in row} == {"(suppressed)", "range 1 of 1"}
    assert any(row.get("rule") == "rule 4" and row.get("broken_rows") is None for row in detail)


def test_the_ends_of_ranges_and_small_cells_go():
    shown = {one.column: one for one in scrub(planted()).models[0].marginals}
    assert shown["age"].labels == ("lowest range", "18 to 20", "highest range", "missing")
    assert "city" not in shown  # 6 of 600 real rows hold one of its labels


def test_seeds_hashes_of_real_rows_notes_and_machine_go():
    public = scrub(planted())
    assert public.run.seed is None
    assert public.inputs.read.sha256 is None and public.inputs.source == "not told"
    assert public.models[0].notes == {} and public.environment.machine == ""
    assert public.models[0].settings == {"epochs": 30, "rate": 0.000123}
    assert public.models[0].synthetic.sha256 == "a" * 64
    assert all(column.note == "" for column in public.inputs.columns)


def test_a_share_of_the_contract_that_tells_of_few_real_rows_goes():
    (check,) = scrub(planted()).contract
    assert check.unexpected is None and not check.success and "column" == check.expectation.split("_")[1]


def test_a_plain_file_name_stays_and_its_folders_go():
    made = document()
    inputs = made.inputs.model_copy(update={"source": "/home/dana/study/people.csv"})
    public = scrub(made.model_copy(update={"inputs": inputs}))
    assert public.inputs.source == "people.csv"


def test_verdicts_values_and_pictures_stay():
    made = rich()
    public = scrub(made)
    assert public.edition == "public" and public.verdict == made.verdict and public.chosen == made.chosen
    for before, after in zip(made.models, public.models, strict=True):
        assert [gate.verdict for gate in before.gates] == [gate.verdict for gate in after.gates]
        assert [one.right for one in before.controls] == [one.right for one in after.controls]
        for old, new in zip(before.gates, after.gates, strict=True):
            assert new.value == pytest.approx(old.value, rel=0.01, abs=1e-4)
            assert new.demand == old.demand and new.power == old.power
            assert new.waiver is None or (new.waiver.author, new.waiver.expires) == ("(suppressed)", old.waiver.expires)
    page = Page(render(public))
    for said in ("public edition", "Who can be found in the training rows", "The 5 worst pairs", "subsample"):
        assert said in page.text, said
    assert "audit.public.json" in page.text and "easiest" not in page.text


def test_labels_that_ten_real_rows_hold_stay():
    rows = scrub(rich()).models[0].estimates["bias"]["group_shares"].estimate.detail
    assert [row["group"] for row in rows] == ["female", "male", "range 1 of 2", "range 2 of 2"]


def test_scrubbing_twice_is_scrubbing_once():
    once = scrub(rich())
    again = scrub(once)
    assert again.models == once.models and again.inputs == once.inputs
    assert Document.from_json(once.to_json()) == once


def test_counts_and_figures_are_rounded():
    assert [count(value) for value in (9, 10, 1_234, 48_842)] == [0, 10, 1_230, 48_800]
    assert [figure(value) for value in (0.123456, 0.00001234, 98_765.4)] == [0.123, 0.0, 98_800]
    document_rows = scrub(rich()).inputs
    assert document_rows.train.rows == 1_400


@given(st.text(min_size=4, max_size=12).filter(lambda text: not text.isspace()))
@settings(max_examples=150, deadline=None)
def test_a_quoted_value_never_passes(text):
    told = sentence(f"column 'city' holds only “{text}”", frozenset({"city"}))
    quoted = re.sub(r"\W", "", text)
    assert told is None or len(quoted) < 4 or text not in told or text in "column 'city' holds only (suppressed)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("the holdout has 3 rows, 100 are needed", "the holdout has fewer than 10 rows, 100 are needed"),
        ("at most 0.0134567", "at most 0.0135"),
        ("12,345 rows", "12,300 rows"),
        ("no rule was declared", "no rule was declared"),
        ("Huntington is rare", None),
        ("column 'age' has one class", "column 'age' has one class"),
        ("column 'name' has one class", "column (suppressed) has one class"),
        ("<b>rows</b>", None),
        ("x" * 700, None),
    ],
)
def test_sentences_pass_only_in_public_words(text, told):
    assert sentence(text, frozenset({"age"})) == told


def test_the_public_json_is_valid_json_without_nan():
    text = scrub(rich()).to_json()
    json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} was written"))


def test_columns_of_the_document_are_named():
    assert [column.name for column in scrub(rich()).inputs.columns] == list(COLUMNS)


def test_an_answer_keeps_its_words():
    before = rich().models[0].estimates["privacy"]["membership_inference"]
    after = scrub(rich()).models[0].estimates["privacy"]["membership_inference"]
    assert isinstance(after, Answer)
    assert (before.title, before.definition, before.better) == (after.title, after.definition, after.better)
    assert len(after.estimate.curves) == 4 and len(after.estimate.curves[0].x) <= 60


OWN_NOTES = (
    "taken as the target by its name: 'sex'",
    "taken as sensitive by their names: 'sex', 'age'",
    "no holdout was given: rows that the generator never saw are needed to tell copying from resemblance",
    "column 'sex' is the row index that pandas had stored; left out",
)


def noted(**changes):
    made = rich()
    inputs = made.inputs.model_copy(update={"notes": changes.get("notes", OWN_NOTES)})
    columns = tuple(each.model_copy(update={"note": changes.get("note", "")}) for each in inputs.columns)
    models = tuple(one.model_copy(update={"notes": changes.get("figures", {})}) for one in made.models)
    return scrub(made.model_copy(update={"inputs": inputs.model_copy(update={"columns": columns}), "models": models}))


def test_notes_in_the_audits_own_words_are_published():
    public = noted()
    assert public.inputs.notes == OWN_NOTES
    assert "taken as the target by its name: 'sex'" in Page(render(public)).text


def test_notes_that_quote_the_rows_are_published_without_the_quote_or_not_at_all():
    public = noted(
        notes=(
            "column 'sex' is numbers but for 'Dana' (3 rows); name it in source.nulls if it means missing",
            "Dana's rows come first",
        )
    )
    assert public.inputs.notes == (
        "column 'sex' is numbers but for (suppressed) (fewer than 10 rows); name it in source.nulls if it means "
        "missing",
        "1 more note is in the internal report",
    )


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("73 different whole numbers", "73 different whole numbers"),
        ("94 different numbers, and many rows hold 40 (47%), 45 (6%)", "94 different numbers"),
        (
            "numbers written as text: 12 different texts in 12,345 rows",
            "numbers written as text: 12 different texts in 12,300 rows",
        ),
        ("as specified", "as specified"),
        ("most people live in Bern", ""),
    ],
)
def test_why_a_column_is_of_its_kind_is_published_without_values(note, told):
    assert {column.note for column in noted(note=note).inputs.columns} == {told}


def test_figures_of_a_fit_are_published_rounded():
    figures = {
        "epochs": 8.0,
        "training_loss": 22.4893,
        "rows": 7.0,
        "stopped": "early",
        "kept": "Dana",
        "seed": 4.0,
        "Dana": 1.0,
    }
    assert {tuple(one.notes.items()) for one in noted(figures=figures).models} == {
        (("epochs", 8.0), ("training_loss", 22.5), ("stopped", "early"))
    }


def test_a_waivers_reason_is_published_in_public_words_only():
    def reason(text):
        made = rich()
        waiver = Waiver(reason=text, author="Dana", expires=date(2030, 1, 1))
        gates = tuple(one.model_copy(update={"waiver": waiver}) for one in made.models[0].gates)
        public = scrub(made.model_copy(update={"models": (made.models[0].model_copy(update={"gates": gates}),)}))
        return {one.waiver.reason for one in public.models[0].gates}

    assert reason("the holdout has too few rows to tell") == {"the holdout has too few rows to tell"}
    assert reason("Dana said so") == {"The reason is in the internal report."}


@pytest.mark.parametrize(("name", "shown"), [("autoregressive", "autoregressive"), ("Dana <b>", "model 1")])
def test_a_reason_names_its_model_as_the_public_report_does(name, shown):
    made = document((model(name=name, verdict="inconclusive"),), verdict="inconclusive")
    made = made.model_copy(update={"reasons": (f"{name} is inconclusive: the rows are too few", f"{name} is Dana")})
    public = scrub(made)
    assert public.reasons == (
        f"{shown} is inconclusive: the rows are too few",
        "1 more reason is in the internal report",
    )
    assert scrub(public).reasons == public.reasons
