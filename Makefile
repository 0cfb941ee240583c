# Everything a machine with Python 3.11 needs to run and to develop Quire. `make` alone lists the targets.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# The newest supported python3 that is there, unless PYTHON= names one.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if "$$p" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$p"; break; fi; done)
# What `make serve` hands to `quire serve`, and `make test` to pytest: make serve ARGS="--port 9000"
ARGS ?=
# Test processes at once; tests marked `serial` measure something, and run after the others, alone.
JOBS ?= 2
SOURCES := collab snapshots web tests benchmarks hatch_build.py

.PHONY: help serve test check format bench torture editor lock wheel clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(VENV)/.run editor ## Set up what is missing, then serve on port 8000 (ARGS="--port 9000 --data DIR")
	@exec $(BIN)/quire serve $(ARGS)

test: $(VENV)/.dev editor ## Set up what is missing, then run every test (ARGS="-k rename")
	@echo "==> Running the editor's own tests"
	@$(BIN)/python hatch_build.py npm test
	@echo "==> Running the tests, $(JOBS) at once"
	@status=0; \
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not serial and not torture" $(ARGS) || status=$$?; \
	if [ $$status -eq 5 ] && [ -n '$(ARGS)' ]; then status=0; fi; \
	echo "==> Running the tests that must have the machine to themselves"; \
	$(BIN)/pytest -m "serial and not torture" $(ARGS) || { serial=$$?; [ $$serial -eq 5 ] || status=$$serial; }; \
	exit $$status

check: $(VENV)/.dev ## Lint, formatting and strict types, of the server, its tests and the editor
	@echo "==> ruff"
	@$(BIN)/ruff check $(wildcard $(SOURCES))
	@$(BIN)/ruff format --check $(wildcard $(SOURCES))
	@echo "==> mypy"
	@$(BIN)/mypy && $(BIN)/mypy hatch_build.py
	@echo "==> The editor's lint and types"
	@$(BIN)/python hatch_build.py npm run check

format: $(VENV)/.dev ## Format the Python sources
	@$(BIN)/ruff check --fix $(wildcard $(SOURCES))
	@$(BIN)/ruff format $(wildcard $(SOURCES))

bench: $(VENV)/.dev editor ## Measure, side by side with the peers where they are installed
	@$(BIN)/python -m benchmarks $(ARGS)

torture: $(VENV)/.dev editor ## The long durability runs: 200 kills at random moments
	@$(BIN)/pytest -m torture --timeout 3600 $(ARGS)

editor: $(VENV)/.run ## Build the editor, if its sources changed
	@$(BIN)/python hatch_build.py

wheel: $(VENV)/.run ## Build the wheel, editor included, into dist/
	@$(PIP) wheel --no-deps --wheel-dir dist .

lock: $(VENV)/.dev ## Resolve the dependencies again, newest first, into the two lock files
	@$(BIN)/uv pip compile pyproject.toml --extra build --upgrade --output-file requirements.lock $(LOCK)
	@$(BIN)/uv pip compile pyproject.toml --extra build --extra dev --upgrade --constraints requirements.lock \
		--output-file requirements-dev.lock $(LOCK)

LOCK := --quiet --generate-hashes --universal --python-version 3.11 --no-emit-index-url --no-annotate --no-strip-extras \
	--custom-compile-command "make lock"

clean: ## Remove the environment and everything built; never any data
	@rm -rf $(VENV) dist build web/static web/editor/node_modules tests/node_modules .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "error: Quire needs Python 3.11 or newer; install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "==> Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) has no venv module that works (on Debian: python3-venv)"; exit 1; }

# An installation is complete when its stamp is there; changed pins make a stamp stale.
$(VENV)/.run: requirements.lock pyproject.toml hatch_build.py | $(BIN)/python
	@echo "==> Installing what Quire needs into $(VENV)"
	@$(PIP) install -qq --require-hashes --requirement requirements.lock
	@$(PIP) install -qq --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run | $(BIN)/python
	@echo "==> Installing what its tests need"
	@$(PIP) install -qq --require-hashes --requirement requirements-dev.lock
	@touch $@
