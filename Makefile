SPEC ?= specs/rand_health.yaml
PYTHON ?= python3

.PHONY: setup run up down

setup: .venv/.made

.venv/.made: requirements.lock
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps -r requirements.lock
	.venv/bin/pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	touch $@

run: setup
	@.venv/bin/python -m dags.local run $(SPEC)

up: setup
	@.venv/bin/python -m dags.local up

down:
	@.venv/bin/python -m dags.local down
