"""`dvc repro` goes through the stages' doors, knows every file that they import, and runs no more than changed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.spec import Spec
from pipeline.stages import PER_MODEL, STAGES

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("tabular", "models", "audit", "pipeline")
DOORS = {
    "ingest": "pipeline/ingest.py",
    "contract": "pipeline/checking.py",
    "train": "pipeline/making.py",
    "generate": "pipeline/making.py",
    "check": "pipeline/checking.py",
    "audit": "pipeline/judging.py",
    "decide": "pipeline/judging.py",
}
SMALL = """
name: small
seed: 3
source: { path: small.csv }
columns: { sex: { values: { 0: male, 1: female }, sensitive: true } }
other_columns: keep
target: y
task: regression
unit: null
holdout: 0.3
rows: null
shard_rows: 200
models:
  independent: {}
  gmm: { components: 2 }
policy: structural
demands: { validity.schema_violations: { at_most: 0 } }
waivers: {}
secrets: []
analyses: []
rules: []
deep: false
choose: { metric: validity.schema_violations }
release: { enabled: false }
schedule: null
"""
SMALL_PARAMETERS = """
specs: [small]
chains:
  small-independent: { spec: small, model: independent }
  small-gmm: { spec: small, model: gmm }
"""

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMETERS = yaml.safe_load((ROOT / "params.yaml").read_text())


def stage(name: str, **values: str) -> dict:
    """Return a stage of dvc.yaml with its templates filled in."""
    text = yaml.safe_dump(PIPELINE[name]["do"])
    for key, value in values.items():
        text = text.replace(f"${{{key}}}", value)
    return yaml.safe_load(text)


def files_of(module: str) -> set[str]:
    """Return the files of ours that importing a dotted name reads, but `__init__.py`, which holds a docstring only."""
    parts = module.split(".")
    if parts[0] not in ROOMS:
        return set()
    paths = (Path(*parts[:end]).with_suffix(".py") for end in range(1, len(parts) + 1))
    return {path.as_posix() for path in paths if (ROOT / path).exists()}


@cache
def imports(path: str) -> frozenset[str]:
    """Return what a file imports, inside functions too; but not the doors, which the stages' file opens one by one."""
    tree = ast.parse((ROOT / path).read_text())
    found: set[str] = set()
    for node in tree.body if path == "pipeline/stages.py" else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {file for alias in node.names for file in files_of(alias.name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {file for alias in node.names for file in files_of(f"{node.module}.{alias.name}")}
    return frozenset(found)


def closure(*roots: str) -> set[str]:
    seen: set[str] = set()
    waiting = set(roots)
    while waiting:
        path = waiting.pop()
        seen.add(path)
        waiting |= imports(path) - seen
    return seen


def roots_of(name: str, model: str) -> list[str]:
    """Return where a stage's imports start: its door, and the families and metrics that it finds by their names."""
    roots = ["pipeline/stages.py", DOORS[name]]
    if name in ("train", "generate"):
        roots.append(f"models/{model}.py")
    if name == "decide":
        roots += [path.relative_to(ROOT).as_posix() for path in (ROOT / "models").glob("*.py")]
    if name in ("audit", "decide"):
        roots += [path.relative_to(ROOT).as_posix() for path in (ROOT / "audit").glob("*/*.py")]
    return [path for path in roots if not path.endswith("__init__.py")]


def test_the_stages_are_the_doors_in_their_order() -> None:
    assert tuple(PIPELINE) == STAGES[:-1]
    for name in PIPELINE:
        per_model = name in (*PER_MODEL, "audit")
        assert PIPELINE[name]["foreach"] == ("${chains}" if per_model else "${specs}")
        command = f".venv/bin/python -m pipeline stage {name} specs/S.yaml --root . --run dvc"
        found = stage(name, **{"item": "S", "item.spec": "S", "item.model": "M"})["cmd"]
        assert found == command + (" --model M" if per_model else "")


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("model", sorted({chain["model"] for chain in PARAMETERS["chains"].values()}))
def test_every_imported_file_is_a_dependency_and_no_other(name: str, model: str) -> None:
    deps = stage(name, **{"item": "S", "item.spec": "S", "item.model": model})["deps"]
    code = [dep for dep in deps if not dep.startswith("data/") and dep not in ("requirements.lock", "policies")]
    wanted = closure(*roots_of(name, model))
    missing = [path for path in wanted if not any(path == dep or path.startswith(f"{dep}/") for dep in code)]
    assert not missing, f"dvc.yaml, stage {name}: add {', '.join(sorted(missing))} to deps"
    idle = [dep for dep in code if not any(path == dep or path.startswith(f"{dep}/") for path in wanted)]
    assert not idle, f"dvc.yaml, stage {name}: nothing imports {', '.join(idle)}"


@pytest.mark.parametrize("name", PARAMETERS["specs"])
def test_a_reproduced_spec_has_its_chains_and_spells_out_its_settings(name: str) -> None:
    path = ROOT / "specs" / f"{name}.yaml"
    chains = PARAMETERS["chains"]
    ours = {key: chain["model"] for key, chain in chains.items() if chain["spec"] == name}
    assert list(ours.values()) == list(Spec.load(path).models)
    assert list(ours) == [f"{name}-{model}" for model in ours.values()]
    written = yaml.safe_load(path.read_text())
    for each in DOORS:
        for settings in stage(each, **{"item": name, "item.spec": name}).get("params", []):
            keys = {key.split(".")[0] for key in settings[f"specs/{name}.yaml"]}
            assert keys <= written.keys(), (
                f"{path.name}: dvc.yaml, stage {each}, wants {keys - written.keys()} spelled out"
            )


def test_settings_that_a_run_reads_are_parameters_of_some_stage() -> None:
    named = {
        key.split(".")[0]
        for each in DOORS
        for part in PIPELINE[each]["do"].get("params", [])
        for key in next(iter(part.values()))
    }
    assert Spec.model_fields.keys() == named


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the program with a small table of its own, reproduced once."""
    root = tmp_path_factory.mktemp("dvc") / "root"
    root.mkdir()
    for room in (*ROOMS, "policies"):
        shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "requirements.lock", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    (root / "params.yaml").write_text(SMALL_PARAMETERS)
    (root / "specs").mkdir()
    (root / "specs" / "small.yaml").write_text(SMALL)
    rng = np.random.default_rng(0)
    x, sex = rng.normal(size=400), rng.integers(0, 2, 400)
    word, y = rng.choice(list("abc"), 400), x + rng.normal(size=400)
    rows = "".join(f"{a:.2f},{b},{c},{d:.2f}\n" for a, b, c, d in zip(x, sex, word, y, strict=True))
    (root / "small.csv").write_text("x,sex,word,y\n" + rows)
    (root / ".venv").symlink_to(sys.prefix)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    assert reproduce(root) == {
        *(f"{name}@small" for name in ("ingest", "contract", "decide")),
        *(f"{name}@small-{model}" for name in (*PER_MODEL, "audit") for model in ("independent", "gmm")),
    }
    return root


def reproduce(root: Path) -> set[str]:
    """Run `dvc repro` and return the stages that ran."""
    environment = os.environ | {
        "DVC_NO_ANALYTICS": "1",
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp"),
    }
    command = [sys.executable, "-m", "dvc", "repro"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return set(re.findall(r"^Running stage '(.+)':", done.stdout, flags=re.MULTILINE))


def change(path: Path, old: str, new: str) -> None:
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new))


@pytest.mark.slow
def test_nothing_changed_nothing_runs(project: Path) -> None:
    assert reproduce(project) == set()
    change(project / "specs" / "small.yaml", "seed: 3", "# the same seed\nseed: 3")
    assert reproduce(project) == set()


@pytest.mark.slow
def test_one_models_settings_changed_only_its_chain_runs(project: Path) -> None:
    kept = project / "data/runs/small/dvc/models/independent/synthetic.parquet"
    before = kept.read_bytes()
    change(project / "specs" / "small.yaml", "components: 2", "components: 3")
    assert reproduce(project) == {"decide@small", *(f"{name}@small-gmm" for name in (*PER_MODEL, "audit"))}
    assert kept.read_bytes() == before
    assert yaml.safe_load((project / "data/runs/small/dvc/spec.yaml").read_text())["models"]["gmm"] == {"components": 3}
    assert reproduce(project) == set()


@pytest.mark.slow
def test_demands_changed_nothing_is_made_anew(project: Path) -> None:
    change(project / "specs" / "small.yaml", "{ at_most: 0 }", "{ at_most: 0.01 }")
    # Which controls are put to which gates follows from the demands, so that the audit looks again.
    audits = {f"audit@small-{model}" for model in ("independent", "gmm")}
    assert reproduce(project) == {"contract@small", "decide@small", *audits}


@pytest.mark.slow
def test_one_familys_code_changed_only_its_chain_runs(project: Path) -> None:
    with (project / "models" / "gmm.py").open("a") as file:
        file.write("\n# A remark.\n")
    # Training runs and gives the same bytes, so that nothing after it has to; generating imports the file too.
    assert reproduce(project) == {"train@small-gmm", "generate@small-gmm", "decide@small"}
