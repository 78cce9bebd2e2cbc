"""The house's laws, held over every file: which room may import which, and how long, how named, how plain."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "tabular": set(),
    "models": {"tabular"},
    "audit": {"tabular"},
    "pipeline": {"tabular", "models", "audit"},
    "dags": {"pipeline"},
}
HOMES = {
    "torch": {"models"},
    "zuko": {"models"},
    "safetensors": {"models", "pipeline"},
    "sklearn": {"models", "audit", "pipeline"},
    "airflow": {"dags"},
    "pendulum": {"dags"},
    "sdmetrics": {"audit"},
    "fairlearn": {"audit"},
    "scipy": {"models", "audit"},
    "statsmodels": {"audit"},
    "jinja2": {"audit"},
    "yaml": {"pipeline", "dags"},
    "pandas": {"tabular", "audit", "pipeline"},
    "pyarrow": {"tabular", "pipeline"},
    "sqlalchemy": {"pipeline"},
    "fsspec": {"pipeline"},
    "great_expectations": {"pipeline"},
    "dvc": {"pipeline"},
    "typer": {"pipeline"},
    "rich": {"pipeline"},
}
NO_FILES = {"tabular", "models", "audit"}
NEVER = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "sdv", "ctgan", "rdt", "gretel_synthetics"}
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "misc"}
LINES, FUNCTION_LINES, PARAMETERS = 300, 40, 8

FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported module with its line, also those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports are not used here"
            yield node.lineno, node.module or ""
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _top_level(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Imports outside functions and classes: those that cost time whenever the file is read."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_only_run_down(path):
    room = path.relative_to(ROOT).parts[0]
    for line, module in _imports(_tree(path)):
        other = module.split(".")[0]
        if other in ROOMS and other != room:
            assert other in ROOMS[room], f"{_name(path)}:{line}: {room} may not import {module}: imports only run down"
        if other in HOMES:
            assert room in HOMES[other], f"{_name(path)}:{line}: {other} is at home in {sorted(HOMES[other])} only"
        assert other not in NEVER, f"{_name(path)}:{line}: {other} is never used here"


@pytest.mark.parametrize("path", sorted((ROOT / "models").glob("*.py")), ids=_name)
def test_families_do_not_import_one_another(path):
    for line, module in _imports(_tree(path)):
        parts = module.split(".")
        if parts[0] == "models" and len(parts) > 1:
            stack = (path.stem, parts[1]) == ("dbn", "rbm")  # a belief network is a stack of these machines
            assert parts[1] == "core" or stack, f"{_name(path)}:{line}: a family may not import {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "dags").glob("*.py")), ids=_name)
def test_dag_files_import_the_pipeline_inside_their_tasks_only(path):
    for line, module in _top_level(_tree(path)):
        assert module.split(".")[0] != "pipeline", f"{_name(path)}:{line}: {module} is imported when the file is parsed"


@pytest.mark.parametrize("path", [path for path in FILES if path.relative_to(ROOT).parts[0] in NO_FILES], ids=_name)
def test_the_lower_rooms_open_no_file(path):
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            assert called not in {"open", "read_text", "write_text", "read_bytes", "write_bytes", "print"}, (
                f"{_name(path)}:{node.lineno}: {called}() belongs to the pipeline"
            )


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_every_file_says_what_it_is_for_and_is_short(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{_name(path)}: the first line is a sentence that says what the file is for"
    assert path.stem not in EMPTY_NAMES, f"{_name(path)}: this name says nothing"
    lines = text.count("\n")
    assert lines <= LINES, f"{_name(path)}: {lines} lines, at most {LINES}"
    if path.name == "__init__.py":
        assert len(tree.body) == 1, f"{_name(path)}: holds more than its docstring"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_functions_are_short_and_take_few_parameters(path):
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node, clean=False)
            length = (
                (node.end_lineno or node.lineno) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)
            )
            assert length <= FUNCTION_LINES, f"{_name(path)}:{node.lineno}: {node.name} has {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            count = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
            exposed = path.name.endswith("_commands.py") or any(
                ast.unparse(each).startswith(("app.command", "validate_call")) for each in node.decorator_list
            )
            assert count <= PARAMETERS or exposed, f"{_name(path)}:{node.lineno}: {node.name} takes {count} parameters"


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_no_types_are_imported_behind_the_back(path):
    for node in ast.walk(_tree(path)):
        assert not (isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"), (
            f"{_name(path)}:{node.lineno}: two files that need each other's types are one file, or share a third"
        )


def test_choosing_a_simple_family_never_loads_torch():
    code = "import sys; from pipeline.registry import family; family('independent'); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "False"
