# Everything a developer types. Each target does its own set-up, which costs nothing once done (scripts/setup).
#
#   make test ARGS="tests/unit -k retry"     make test WORKERS=0 ARGS="-x --pdb"
#   PYTHON=/usr/bin/python3.12 make run      make bench QUICK=1 JSON=out.json
#   MILLRACE_TEST_EVERYWHERE=1 make test     also what usually runs on one database or event loop only

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check bench cron-oracle simulate lock format clean setup setup-dev setup-bench chaos
MAKEFLAGS += --no-print-directory

BIN := .venv/bin

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## set up and start Millrace: API, engine and worker in one process, SQLite in ~/.millrace
	@exec $(BIN)/millrace up $(ARGS)

test: setup-dev ## set up and run the tests, WORKERS=2 at a time; ARGS goes to pytest
	@$(BIN)/python -m pytest -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup-dev ## format, lint, types, import rules; changes nothing
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup $(if $(QUICK),,setup-bench) ## measure; QUICK=1 without the peers, JSON=FILE writes the figures
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(JSON),--json "$(JSON)") $(ARGS)

cron-oracle: setup-dev ## compare every schedule in every zone with a second opinion; takes half an hour
	@$(BIN)/python -m tests.oracle.comparing $(ARGS)

chaos: setup-dev ## kill, stop and hold up real processes and their database for SECONDS=60 by SEED=1; TIMES=10 seeds
	@$(BIN)/python -m tests.fault.chaos --seconds $(or $(SECONDS),60) --seed $(or $(SEED),1) --times $(or $(TIMES),1) $(ARGS)

simulate: setup-dev ## the whole engine under faults: SEEDS=1000 (FROM=0, JOBS=2) or SEED=7 again, step by step
	@PYTHONHASHSEED=0 $(BIN)/python -m tests.simulation \
		$(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --from $(or $(FROM),0) $(if $(JOBS),--jobs $(JOBS)))

lock: setup ## renew the lock files from pyproject.toml; UPGRADE=1 takes newer versions
	@UPGRADE=$(UPGRADE) scripts/lock

format: setup-dev ## format the code and fix what the linter can fix
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

clean: ## remove what set-up, tests and checks made; your data in ~/.millrace stays
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* dist

setup:
	@PYTHON="$(PYTHON)" scripts/setup run

setup-dev:
	@PYTHON="$(PYTHON)" scripts/setup dev

setup-bench: setup
	@PYTHON="$(PYTHON)" scripts/setup bench
