# Everything a person or CI runs. `make help` lists the targets.
# Both `make run` and `make test` set up what they need: a virtual environment with the pinned dependencies.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := services transload sandbox tests bench
ROLLBACK ?= 0
KEEP ?= 0
SEED ?= 1
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help install proto proto-check fmt lint types imports test test-fast test-all run bench coverage-table clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing pinned dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sandbox,dev]'
	@touch $(STAMP)

install: $(STAMP)  ## Create the virtual environment and install pinned dependencies

proto: $(STAMP)  ## Generate transload/v1 from proto/
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. --mypy_out=quiet:. --mypy_grpc_out=quiet,only_async:. proto/transload/v1/*.proto

proto-check: $(STAMP)  ## Lint the contracts and check that the stubs are what they generate
	$(BIN)/buf lint proto
	$(BIN)/python tools/check_stubs.py

fmt: $(STAMP)  ## Format and fix
	$(BIN)/ruff format $(SOURCES) tools
	$(BIN)/ruff check --fix $(SOURCES) tools

lint: $(STAMP)  ## Check style
	$(BIN)/ruff format --check $(SOURCES) tools
	$(BIN)/ruff check $(SOURCES) tools

types: $(STAMP)  ## Check types (mypy strict)
	$(BIN)/mypy $(SOURCES) tools

imports: $(STAMP)  ## Check that imports follow the architecture
	$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

test-fast: $(STAMP)  ## Unit and contract tests only
	$(BIN)/python -m pytest tests/unit tests/contract tests/repo -n $(WORKERS) -q

test-all: $(STAMP)  ## All tests, no static checks
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test: lint types imports proto-check test-all  ## Everything CI runs

run: $(STAMP)  ## Move a generated STEL Order account into the Pipedrive sandbox (ROLLBACK=1 takes it back again, KEEP=1 leaves it running)
	@$(BIN)/transload rehearse --seed $(SEED) $(if $(filter 1,$(ROLLBACK)),--rollback) $(if $(filter 1,$(KEEP)),--keep)

bench: $(STAMP)  ## Measure against a baseline in the same run
	$(BIN)/python -m bench

clean:  ## Remove the virtual environment and all run data
	rm -rf $(VENV) .transload build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
