# The doors of Holdfast. Everything that they need goes into $(VENV), from hashed lock files.
PYTHON ?= python3
VENV ?= .venv
CORES := $(shell nproc 2>/dev/null || echo 2)
# Most tests wait for controllers and not for a processor, so there are more of them than processors.
TEST_PROCESSES ?= $(shell [ $(CORES) -gt 6 ] && echo 6 || echo 4)
TESTS ?=
BENCH ?=
RUN := $(VENV)/bin/python
PAGES := $(wildcard templates)

export PATH := $(abspath $(VENV))/bin:$(PATH)
export PYTHONUNBUFFERED := 1

.DEFAULT_GOAL := help
.PHONY: help install demo demo-reset test check fix bench e2e

help: ## list the doors
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16
	@echo 'Variables: HOLDFAST_PORT, HOLDFAST_DATA (demo), TESTS="tests/cluster -k watch" (test), BENCH=mover (bench), PYTHON, VENV.'

install: ## put the locked dependencies into $(VENV); nothing to do when they are there
	@command -v $(PYTHON) >/dev/null || { echo "holdfast: $(PYTHON) is not there: install Python 3.11 or newer, or name one with make PYTHON=..."; exit 1; }
	@$(PYTHON) requirements/install.py $(VENV) requirements/dev.txt

demo: install ## run everything here, with a sandbox cluster; Ctrl-C ends it, the next start continues
	@exec $(RUN) -m embedded demo

demo-reset: install ## remove the demo's data, so that the next demo starts afresh
	@exec $(RUN) -m embedded reset

test: install ## run the whole suite on real PostgreSQL, Redis, Celery, files, git and (where found) a browser
	@$(RUN) -m pytest -n $(TEST_PROCESSES) --dist loadgroup $(TESTS)

e2e: install ## run the browser journeys alone; without a Chromium they fail
	@HOLDFAST_REQUIRE_BROWSER=1 $(RUN) -m pytest -m browser $(TESTS)

check: export HOLDFAST_BUILD := 1
check: install ## lint, types, imports, templates, schema migrations; changes nothing
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy .
	$(VENV)/bin/lint-imports
	$(if $(PAGES),$(RUN) -m djlint --quiet --lint $(PAGES))
	$(RUN) manage.py makemigrations --check --dry-run
	$(RUN) manage.py check

fix: install ## format and mend what a program can mend
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

bench: install ## measure; results go to bench-results/
	@$(RUN) -m benches $(BENCH)
