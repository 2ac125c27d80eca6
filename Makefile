# Two commands set everything up on a machine with Python 3.11 or later, pip and make: `make demo` and `make test`.

FILE ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
UV := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv --quiet --no-progress

# No recipe sees a key of a vendor or sends a trace: what runs here runs without them.
KEYS := $(shell env | sed -n 's/^\(\(GEMINI\|GOOGLE\|VERTEX\|ANTHROPIC\|CLAUDE\|OPENAI\|AZURE\|LANGSMITH\|LANGCHAIN\|LANGGRAPH\)_[A-Za-z0-9_]*\)=.*/\1/p')
CLEAN := env $(foreach key,$(KEYS),-u $(key))

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

.PHONY: demo test campaign lint types check bench lock clean help

help:
	@echo "make demo [FILE=data.csv] [ARGS='--question ...']  install what the demo needs and run it"
	@echo "make test      install everything, run every check and test"
	@echo "make campaign  the heavier tests"
	@echo "make bench     the benchmarks, as a table"
	@echo "make lock      re-lock the requirements after a change to pyproject.toml"

demo: $(VENV)/.demo
	@$(CLEAN) $(BIN)/interactions-bridge demo $(if $(FILE),"$(FILE)") $(ARGS)

test: check
	@$(CLEAN) $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term $(ARGS)

campaign: $(VENV)/.test
	@$(CLEAN) BRIDGE_CAMPAIGN=1 $(BIN)/python -m pytest -n 2 --dist worksteal --timeout 3000 $(ARGS)

check: lint types
	@$(BIN)/lint-imports

lint: $(VENV)/.test
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(VENV)/.test
	@$(BIN)/mypy src adapters/anthropic/src adapters/openai/src tests benchmarks

bench: $(VENV)/.test
	@$(CLEAN) $(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.test
	@UV="$(BIN)/uv" requirements/compile.sh

clean:
	rm -rf $(VENV) .venvs dist .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# An environment that holds the test lock holds the demo's too, whose packages are a subset: then that one is kept up to date.
$(VENV)/.demo: $(if $(wildcard $(VENV)/.test),$(VENV)/.test,$(VENV)/.uv requirements/demo.txt pyproject.toml $(wildcard adapters/*/pyproject.toml))
	@[ -e $(VENV)/.test ] || { echo "installing what the demo needs into $(VENV) ..." \
		&& $(UV) pip sync --require-hashes requirements/demo.txt \
		&& $(UV) pip install --no-deps --no-build-isolation -e . -e adapters/anthropic -e adapters/openai; }
	@touch $@

$(VENV)/.test: $(VENV)/.uv requirements/test.txt pyproject.toml $(wildcard adapters/*/pyproject.toml)
	@echo "installing everything the tests need into $(VENV) ..."
	@$(UV) pip sync --require-hashes requirements/test.txt
	@$(UV) pip install --no-deps --no-build-isolation -e . -e adapters/anthropic -e adapters/openai
	@touch $@

$(VENV)/.uv: requirements/bootstrap.txt
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or later was found. Install one, or name it: make PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is no Python 3.11 or later. Name another: make PYTHON=/path/to/python"; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv) and try again."; exit 1; }
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	@touch $@
