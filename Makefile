SPEC ?= specs/rand_health.yaml
PYTHON ?= python3

.PHONY: setup run up down check test test-all bench clean

setup: .venv/.made

.venv/.made: requirements.lock
	test -x .venv/bin/pip || $(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps -r requirements.lock
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

run: setup
	@.venv/bin/python -m dags.local run $(SPEC)

up: setup
	@.venv/bin/python -m dags.local up

down:
	@.venv/bin/python -m dags.local down

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

test: check
	.venv/bin/pytest -m "not slow"

test-all: check
	.venv/bin/pytest

bench: setup
	.venv/bin/python -m benchmarks.families_adult
	.venv/bin/python -m benchmarks.dag_parse

clean:
	rm -rf .venv .airflow .mypy_cache .ruff_cache .hypothesis build *.egg-info
