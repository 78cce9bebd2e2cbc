"""The report: a document that round-trips, and a page that escapes, bounds and never calls home."""

import json
import re
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.core import QUESTIONS, Curve, Estimate, Evidence, Interval
from audit.report.answers import Check, Control, ModelAudit, NotAsked, Rows, Waiver
from audit.report.document import ColumnRecord, Document
from audit.report.marginals import BINS, CATEGORIES, Marginal, marginals
from audit.report.page import render
from audit.report.wording import clean, number
from tabular.schema import Column, Schema
from tabular.table import Table
from tests.audit.documents import HOSTILE, Page, answer, document, estimate, gate, marginal, model, rich

LOADS = {"src", "srcset", "href", "xlink:href", "data", "action", "poster", "background", "formaction"}


finite = st.floats(-1e6, 1e6)
any_float = st.one_of(finite, st.sampled_from([np.nan, np.inf, -np.inf]))


@settings(max_examples=40, deadline=None)
@given(value=any_float, low=any_float, reference=any_float, figure=any_float, text=st.text(max_size=40))
def test_json_gives_the_document_back_and_never_writes_nan(value, low, reference, figure, text):
    found = Estimate(
        value=value, interval=Interval(low=low, high=1.0), reference=reference, detail=({"column": text, "x": figure},)
    )
    made = document(
        (
            model(
                verdict="refused",
                gates=(),
                estimates={"privacy": {"copies": answer(found, text)}},
                notes={"loss": figure, "why": text},
                settings={"rate": figure, "nested": [{"deep": figure}]},
            ),
        ),
        names=(text,),
    )
    written = made.to_json()
    assert Document.from_json(written) == made
    assert Document.from_json(written).to_json() == written
    json.loads(written, parse_constant=lambda constant: pytest.fail(f"{constant} was written"))
    shown = made.models[0].estimates["privacy"]["copies"].estimate
    assert (shown.value is None) == (not np.isfinite(value))
    assert (shown.not_computed is None) == bool(np.isfinite(value))


def test_a_gate_cannot_pass_without_a_value():
    absent = estimate(None, reason="the holdout has 3 rows, 100 are needed")
    for estimates in ({"fidelity": {"column_shapes": answer(absent)}}, {}):
        with pytest.raises(ValueError, match=r"fidelity\.column_shapes.*no value"):
            model(gates=(gate(absent),), estimates=estimates)


def test_only_an_accepted_model_can_be_chosen():
    with pytest.raises(ValueError, match="chosen"):
        document((model(verdict="refused"),), chosen="gmm")


def test_an_unknown_key_is_refused():
    tree = json.loads(document().to_json()) | {"score": 1}
    with pytest.raises(ValueError, match="score"):
        Document.from_json(json.dumps(tree))


def test_the_fate_of_a_column_follows_its_kind_and_role():
    def fate(**given):
        return ColumnRecord.of(Column(name="a", physical="text", **given)).fate

    assert fate(kind="categorical") == "modelled"
    assert fate(kind="identifier") == "made_anew"
    assert fate(kind="categorical", role="unit") == "made_anew"
    assert fate(kind="text") == "left_out"


def test_the_same_document_gives_the_same_page():
    assert render(document()) == render(Document.from_json(document().to_json()))


def waived(found, text):
    waiver = Waiver(reason=text, author=text, expires=date(2026, 1, 2))
    return gate(found, "failed").model_copy(update={"waiver": waiver, "power": text, "demand": text, "sentence": text})


def test_hostile_names_are_escaped_and_bounded():
    rows = tuple({"first": a, "second": b, "distance": 0.1} for a in HOSTILE for b in HOSTILE)
    odd = tuple({"column": a, "group": a, "ratio": 1.1, "low": 1.0, "high": 1.2, "note": a} for a in HOSTILE)
    told = tuple({"region": a, "synthetic": 0.3, "real": 0.1} for a in HOSTILE)
    kinds = ({"=key<b>": HOSTILE[0], HOSTILE[7]: 1.0}, *odd, *told, {"rule": HOSTILE[0], "example": HOSTILE[1]}, *rows)
    curves = tuple(Curve(name=a, x=(0.1, 1.0), y=(0.2, 1.0)) for a in HOSTILE)
    found = estimate(0.12, detail=kinds).model_copy(update={"curves": curves})
    hostile = [
        model(
            name=f"{text}{place}",
            settings={text: text},
            notes={text: text},
            seconds={text: 1.0},
            verdict="refused",
            reasons=(text, text),
            gates=(waived(found, text),),
            estimates={
                "fidelity": {"column_shapes": answer(found, text), text: answer(estimate(None, reason=text), text)}
            },
            marginals=(
                marginal(text),
                Marginal(column=text, reads="codes", labels=HOSTILE, real=(0.1,) * 10, synthetic=(0.1,) * 10),
            ),
            contract=(Check(expectation=text, column=text, success=False, unexpected=0.1, sentence=text),),
            not_asked=(NotAsked(metric=text, reason=text),),
            controls=(
                Control(name=text, title=text, expected="failed", got="inconclusive", right=None, sentence=text),
                Control(
                    name=text, title=text, expected="failed", got="failed", right=True, gates=(waived(found, text),)
                ),
            ),
        )
        for place, text in enumerate(HOSTILE)
    ]
    made = document(tuple(hostile), names=HOSTILE, reasons=HOSTILE, limits=HOSTILE)
    page = render(made)
    read = Page(page)
    assert Document.from_json(made.to_json()) == made
    assert len(page.encode()) < 2_000_000
    assert not {"script", "img", "iframe", "object", "embed"} & set(read.tags)
    assert read.tags.count("style") == 1
    assert not [key for _, key, _ in read.attributes if key.startswith("on")]
    assert "x" * 1000 not in page
    assert "\u202e" not in page and "\x00" not in page and "\x1b" not in page
    assert "{{ 7 * 7 }}" in read.text
    assert "<script>alert(1)</script>" in read.text


@pytest.mark.parametrize("verdict", ["accepted", "refused", "inconclusive", "invalid"])
def test_the_page_asks_nothing_of_anybody(verdict):
    page = render(document((model(verdict=verdict),), verdict=verdict))
    for tag, key, value in Page(page).attributes:
        if key in LOADS:
            assert value.startswith("#") or (tag, value) == ("link", "data:,"), f"<{tag} {key}={value!r}>"
    styles = " ".join(re.findall(r"<style>(.*?)</style>", page, re.S)) + " ".join(
        value for _, key, value in Page(page).attributes if key == "style"
    )
    assert not re.search(r"url\(|@import|@font-face|image-set", styles)
    assert not re.search(r"https?://", page)
    assert "default-src 'none'" in page


def test_every_link_inside_the_page_has_its_end():
    read = Page(render(document()))
    assert len(read.ids) == len(set(read.ids))
    ends = {value[1:] for _, key, value in read.attributes if key == "href" and value.startswith("#")}
    assert ends - {"", *read.ids} == set()


def test_headings_come_in_order():
    levels = Page(render(document((model(), model("vae"))))).headings
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_tables_and_drawings_speak():
    read = Page(render(document()))
    assert read.tags.count("table") == read.tags.count("caption")
    roles = [value for tag, key, value in read.attributes if tag == "svg" and key in ("role", "aria-hidden")]
    assert len(roles) == read.tags.count("svg")
    assert all(value for tag, key, value in read.attributes if tag == "svg" and key == "aria-label")


def test_what_was_not_computed_is_said_and_never_looks_passed():
    reason = "the holdout has 3 rows, 100 are needed"
    absent = estimate(None, reason=reason)
    silent = model(
        verdict="inconclusive",
        gates=(gate(absent, "inconclusive"), gate(absent, "inconclusive", "privacy.never_ran")),
        estimates={"fidelity": {"column_shapes": answer(absent)}},
    )
    page = render(document((silent,), verdict="inconclusive"))
    read = Page(page)
    assert page.count(reason) >= 3
    assert "privacy.never_ran" in read.text and "This metric did not run." in read.text
    assert "2 metrics were not computed" in read.text
    assert 'class="badge passed"' not in page and 'class="badge accepted"' not in page
    assert "0 of 2" in read.text


@pytest.mark.parametrize(("chosen", "words"), [("gmm", "Every demand was met by the rows of gmm"), (None, "was met")])
def test_the_headline_is_a_sentence_with_and_without_a_chosen_model(chosen, words):
    page = render(document(chosen=chosen))
    line = re.search(r"<h1[^>]*>(.*?)</h1>", page, re.S).group(1)
    assert " ".join(re.sub(r"<[^>]+>", "", line).split()).endswith(words)


def test_an_empty_audit_says_that_nothing_was_shown():
    bare = ModelAudit(name="gmm", synthetic=Rows(rows=0), verdict="inconclusive")
    text = Page(render(document((bare,), verdict="inconclusive"))).text
    assert text.count("No metric of this question was run, so nothing is shown about it.") == len(QUESTIONS)
    assert "No contract was checked, so nothing is shown about it." in text


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300, -1e300, 5e-324])
def test_figures_of_any_size_are_drawn(value):
    found = Estimate(value=value, reference=value, interval=Interval(low=value, high=value))
    page = render(document((model(gates=(), estimates={"bias": {"one": answer(found)}}),)))
    assert not re.search(r'="-?(nan|inf)', page)


def test_pairs_become_a_map_where_they_are_all_there():
    names = ("a", "b", "c", "d")
    rows = tuple({"first": x, "second": y, "distance": 0.1, "reference": 0.05} for x in names for y in names if x < y)
    for detail, drawn in ((rows, 1), ((rows[0], rows[-1]), 0)):
        found = estimate(0.12, detail=detail)
        page = render(document((model(gates=(), estimates={"fidelity": {"pairs": answer(found)}}),), names=names))
        assert page.count('<svg class="pairs"') == drawn


def test_three_hundred_columns_and_five_models_stay_small():
    names = [f"column_{place:03d}_of_a_wide_table" for place in range(300)]
    detail = tuple({"column": name, "kind": "continuous", "distance": 0.123456, "reference": 0.1} for name in names)
    codes = tuple(f"a category in words {place}" for place in range(CATEGORIES + 2))
    share = (1 / len(codes),) * len(codes)
    found = estimate(0.12, detail=detail)
    wide = tuple(
        model(
            name=f"model_{place}",
            estimates={question: {f"m{k}": answer(found, f"Metric {k}") for k in range(6)} for question in QUESTIONS},
            gates=tuple(gate(found, metric=f"{question}.m0") for question in QUESTIONS),
            marginals=tuple(
                marginal(name, BINS)
                if k % 2
                else Marginal(column=name, reads="codes", labels=codes, real=share, synthetic=share)
                for k, name in enumerate(names)
            ),
            contract=tuple(
                Check(expectation=f"expect_{k}", column=name, success=bool(k), unexpected=0.0, sentence="it holds")
                for name in names
                for k in range(4)
            ),
        )
        for place in range(5)
    )
    page = render(document(wide, names=names))
    assert len(page.encode()) < 3_000_000
    assert "60 of 300 columns drawn" in Page(page).text


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_three_digits(value):
    shown = number(value)
    read = float(shown.replace("\N{MINUS SIGN}", "-").replace(",", ""))
    assert read == pytest.approx(value, rel=0.005001)
    assert len(shown) <= 22


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9996, "0.9996"),
        (-0.9996, "\N{MINUS SIGN}0.9996"),
        (0.99951, "0.9995"),
        (0.999996, "0.999996"),
        (0.9994, "0.999"),
        (1.0, "1"),
        (1.2345, "1.23"),
        (99.96, "100"),
        (999.4, "999"),
        (999.5, "1,000"),
        (999.7, "1,000"),
        (12_345.6, "12,346"),
        (999_999.9, "1,000,000"),
        (None, "–"),
    ],
)
def test_numbers_near_a_round_one_are_told_from_it(value, shown):
    assert number(value) == shown


@given(st.floats(999.5, 1e6))
def test_thousands_are_written_out(value):
    assert "e" not in number(value)


@given(st.text(), st.integers(2, 30))
def test_cleaned_text_is_bounded_and_shows_no_controls(text, length):
    shown = clean(text, length)
    assert len(shown) <= length
    assert not set(shown) & {chr(code) for code in (*range(9), *range(14, 32), 0x202E, 0x2066)}


def test_the_picture_of_the_way_says_what_it_shows_and_loads_nothing():
    picture = (Path(__file__).resolve().parents[2] / "docs" / "way.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(picture)
    spoken = {each.tag.rsplit("}", 1)[1] for each in root if each.text}
    assert {"title", "desc"} <= spoken
    assert root.get("role") == "img" and root.get("width") == "900"
    assert not re.search(r"href|@import|url\((?!#)", picture)


def test_a_column_of_ten_thousand_categories_stays_small():
    rng = np.random.default_rng(0)
    names = tuple(f"<category {place}>" for place in range(10_000))
    schema = Schema(columns=(Column(name="code", kind="categorical", physical="text", categories=names),))
    table = Table.conform(schema, pd.DataFrame({"code": rng.choice(names[:300], 20_000)}))
    shown = marginals(Evidence(table, table, table))
    page = render(document((model(marginals=shown),), names=("code",)))
    assert len(shown[0].labels) <= CATEGORIES + 2
    assert len(page.encode()) < 150_000
    assert "<category" not in page


def test_three_models_with_every_picture_speak_and_fit():
    made = rich()
    page = render(made)
    read = Page(page)
    assert len(page.encode()) < 1_000_000
    assert read.tags.count("table") == read.tags.count("caption")
    assert len(read.ids) == len(set(read.ids))
    roles = [value for tag, key, value in read.attributes if tag == "svg" and key in ("role", "aria-hidden")]
    assert len(roles) == read.tags.count("svg")
    for said in (
        "Who can be found in the training rows",
        "What this audit could have seen",
        "The smallest leak tried that would not have passed is 2.0 % of the rows.",
        "By pairs of columns, the synthetic rows are as good as a 20.0 % subsample of as many real rows",
        "The 5 worst pairs",
        "Columns that give the rows away",
        "Waived",
        "Dana Reyes",
        "until 1 December 2026",
        "Not asked: privacy.canaries.",
        "These real rows were audited 3 times before.",
        "Every demand that was not waived was met",
        "Policy analytics : counting and regressing",
        "undecided",
    ):
        assert said in read.text, said
    levels = read.headings
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert not re.search(r'="-?(nan|inf)', page)


def test_sections_come_in_the_order_of_the_report():
    ids = [each for each in Page(render(rich())).ids if "." not in each]
    wanted = ["verdict", "limits", "gates", "self-test", "privacy", "fidelity", "utility", "bias", "validity"]
    wanted += ["contract", "columns", "provenance", "method", "label"]
    assert [each for each in ids if each in wanted] == wanted


def test_every_picture_says_how_to_read_it():
    page = render(rich())
    figures = re.findall(r'<figure class="panel.*?</figure>', page, re.S)
    drawn = [each for each in figures if "<svg" in each]
    assert len(drawn) >= 3 * 8
    assert all('class="reads"' in each for each in drawn)
    assert all("<table" in each for each in drawn)


def test_a_control_that_is_wrong_is_said_to_be_wrong():
    page = render(rich())
    states = re.findall(r'<li class="is-(\w+)"', page)
    assert states == ["right", "right", "undecided", "wrong"]


def test_without_controls_the_page_says_that_nothing_is_shown():
    assert "it is not shown that this audit would have noticed" in Page(render(document())).text


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("accepted", "PASS"), ("refused", "FAIL"), ("inconclusive", "INCONCLUSIVE"), ("invalid", "INVALID")],
)
def test_the_verdict_is_one_word_before_the_sentence(verdict, word):
    page = render(document((model(verdict=verdict),), verdict=verdict))
    assert f'<span class="verdict-word">{word}</span>' in page
