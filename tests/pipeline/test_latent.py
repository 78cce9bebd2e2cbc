"""`lookalike latent` on a run with a small VAE: figures, the page, and plain errors."""

import json
import sys

import numpy as np
import pandas as pd
import pytest

from models.core.base import Conditional, Density, Latent
from pipeline.__main__ import main
from pipeline.registry import families, family
from pipeline.stages import call
from pipeline.workspace import Workspace

SPEC = """
name: toy
source: { path: rows.csv }
target: bought
columns: { sex: { sensitive: true } }
models:
  independent: {}
  vae: { latent: 4, hidden: 64, depth: 1, training: { epochs: 25, learning_rate: 0.01 } }
policy: structural
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a run whose models are fitted, and neither generated nor judged."""
    project = tmp_path_factory.mktemp("latent")
    rng = np.random.default_rng(0)
    n = 3_000
    table = pd.DataFrame(
        {"age": rng.integers(18, 80, n), "sex": rng.choice(["female", "male"], n), "town": rng.choice(list("ABC"), n)}
    )
    table["pay"] = (table["age"] * 10 + rng.normal(0, 30, n)).round(1)
    table["bought"] = np.where(rng.random(n) < table["age"] / 100, "yes", "no")
    table.to_csv(project / "rows.csv", index=False)
    spec = project / "specs" / "toy.yaml"
    spec.parent.mkdir()
    spec.write_text(SPEC)
    call("ingest", spec, project, "r")
    for model in ("independent", "vae"):
        call("train", spec, project, "r", model=model)
    return project


@pytest.fixture
def lookalike(project, monkeypatch, capsys):
    """Run the command line in the project; return what it printed."""

    def run(*arguments, expected=0):
        monkeypatch.chdir(project)
        monkeypatch.setattr(sys, "argv", ["lookalike", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code == expected, captured.err + captured.out
        return captured.out if expected == 0 else captured.err

    return run


def test_the_figures_are_those_of_the_holdout(lookalike, project):
    result = json.loads(lookalike("latent", "toy", "--json"))
    assert (result["run"], result["model"], result["color"], result["page"]) == ("toy/r", "vae", "bought", None)
    holdout = pd.read_parquet(Workspace(project, "toy", "r").holdout)
    assert (result["rows"], result["width"]) == (len(holdout), 4)
    probes = {probe["column"]: probe for probe in result["probes"]}
    assert set(probes) == set(holdout.columns)
    for probe in probes.values():
        for figure in (probe["latent"], probe["others"]):
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert probes["pay"]["latent"]["value"] > 0.8
    assert probes["pay"]["others"]["value"] > 0.9
    assert probes["sex"]["others"]["low"] < 0.5 < probes["sex"]["others"]["high"]
    assert json.loads(lookalike("latent", "toy", "--json")) == result


def test_the_page_is_written_and_said_to_be_internal(lookalike, project):
    told = lookalike("latent", "toy/r", "--model", "vae", "--color", "town", "--out", "latent.html")
    assert "do not publish" in told
    assert "from the latent codes" in told
    page = (project / "latent.html").read_text(encoding="utf-8")
    assert "do not publish" in page
    assert not [word for word in ("http:", "https:", "<script") if word in page]
    assert page.count("<use ") == len(pd.read_parquet(Workspace(project, "toy", "r").holdout))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("toy", "--model", "independent"), ("'independent' has no latent space", "vae")),
        (("toy", "--model", "gmm"), ("has no model 'gmm'", "independent, vae")),
        (("toy", "--color", "height"), ("no modelled column 'height'", "age, sex, town, pay, bought")),
        (("nowhere",), ("nowhere",)),
        (("toy", "--out", "latent.png"), (".html",)),
        (("toy", "--out", "data/releases/toy/latent.html"), ("never released",)),
    ],
)
def test_mistakes_are_told_plainly(lookalike, project, arguments, words):
    told = " ".join(lookalike("latent", *arguments, expected=2).split())
    assert all(word in told for word in words), told
    assert not (project / "data" / "releases").exists()


def test_a_run_without_a_latent_space_says_which_families_have_one(lookalike, project):
    spec = project / "specs" / "toy.yaml"
    call("ingest", spec, project, "plain", changes={"models": {"independent": {}}})
    call("train", spec, project, "plain", model="independent")
    told = " ".join(lookalike("latent", "toy/plain", expected=2).split())
    assert "none of its models (independent) has a latent space; families that have one:" in told
    assert "vae" in told


def test_help_says_what_the_page_is(lookalike):
    told = " ".join(lookalike("latent", "--help").split())
    assert "not to be published" in told and "--color" in told


def test_models_lists_what_each_family_can_do(lookalike):
    listed = {row["name"]: row for row in json.loads(lookalike("models", "--json"))}
    assert set(listed) == set(families())
    shown = lookalike("models")
    for name, row in listed.items():
        kind = family(name)
        assert row["log_prob"] == issubclass(kind, Density)
        assert row["estimated"] == (issubclass(kind, Density) and kind.estimated)
        assert row["conditional"] == issubclass(kind, Conditional)
        assert row["latent"] == issubclass(kind, Latent)
        line = next(line for line in shown.splitlines() if f"│ {name} " in line)
        assert ("by itself" in line) == row["conditional"]
        assert ("estimate" in line.split("│")[4]) == row["estimated"]
        assert ("exact" in line.split("│")[4]) == (row["log_prob"] and not row["estimated"])
        assert ("yes" in line.split("│")[5]) == row["latent"]
    assert "by importance resampling" in " ".join(shown.split())
