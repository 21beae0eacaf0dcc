# Everything a person or CI runs. `make help` lists the targets.
# Both `make run` and `make test` set up what they need: a virtual environment with the pinned dependencies.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := services transload sandbox tests bench
SEED ?= 1
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: nats-faults k8s-check k8s-lint lock licences sbom check-security chaos simulate simulate-many simulate-table simulate-mutants help install proto proto-check fmt lint types imports test test-fast test-all run bench coverage-table clean fuzz soak install-s3 whole-way

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'
	@echo "Options of make run, as NAME=value:"
	@grep -hE '^#: ' $(MAKEFILE_LIST) | awk -F ' - ' '{sub("#: ", "", $$1); printf "  %-16s %s\n", $$1, $$2}'

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

# Options of `make run`; what is not given is left to `transload rehearse`.
#: PLAN - lite, growth, premium or ultimate (default): tokens a day and calls in 2 seconds
#: SEATS - paid seats (default 5); the tokens grow with them. PLAN=lite SEATS=1 meets the limit
#: TOKEN_KIND - oauth (default) or api: whose calls in 2 seconds are allowed
#: SPENT - tokens other apps have spent today (default: half of the day's)
#: OTHER_APPS - tokens an hour they go on to spend (default 0)
#: CLOCK - how fast the account's days pass (default 1); 600: a day in 2.4 minutes
#: SOURCE - stel-order (default), servicetracker, novo-work-order, octopuspro or results
#: CLIENTS - clients (customers, accounts) in the generated account (default 150); SEED=1 decides which
#: ROLLBACK - 1 takes everything back at the end and compares with the state before
#: KEEP - 1 leaves everything running until Ctrl-C, to look around
RUN_OPTIONS = $(if $(SOURCE),--source $(SOURCE)) $(if $(PLAN),--plan $(PLAN)) $(if $(SEATS),--seats $(SEATS)) $(if $(TOKEN_KIND),--token-kind $(TOKEN_KIND)) \
	$(if $(SPENT),--spent $(SPENT)) $(if $(OTHER_APPS),--other-apps $(OTHER_APPS)) $(if $(CLOCK),--clock-speed $(CLOCK)) \
	$(if $(CLIENTS),--clients $(CLIENTS)) $(if $(filter 1,$(ROLLBACK)),--rollback) $(if $(filter 1,$(KEEP)),--keep)

run: $(STAMP)  ## Move a generated account (SOURCE=...) into the Pipedrive sandbox, within the limits of a plan
	@$(BIN)/transload rehearse --seed $(SEED) $(RUN_OPTIONS)

k8s-check: $(STAMP)  ## Build and check the Kubernetes manifests of every overlay; no cluster is needed
	$(BIN)/python -m pytest -q tests/deploy --ignore tests/deploy/test_image.py

LINTER := .venv-lint
$(LINTER)/.installed: locks/lint.txt
	@test -d $(LINTER) || $(PYTHON) -m venv $(LINTER)
	@$(LINTER)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement locks/lint.txt
	@touch $@

k8s-lint: $(STAMP) $(LINTER)/.installed  ## Look over manifests and Dockerfile with checkov, which is installed apart
	$(BIN)/python -m tools.k8s_lint $(LINTER)/bin/checkov

OBJECT_STORE := .venv-s3
$(OBJECT_STORE)/.installed: locks/s3.txt
	@test -d $(OBJECT_STORE) || $(PYTHON) -m venv $(OBJECT_STORE)
	@$(OBJECT_STORE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement locks/s3.txt
	@touch $@

install-s3: $(OBJECT_STORE)/.installed  ## Install the S3 server of tests, apart; tests on S3 skip without it

lock: $(STAMP)  ## Write locks/: the versions of constraints.txt with their hashes
	$(BIN)/python tools/lock.py

licences: $(STAMP)  ## Write docs/licences.md: the licence of every package
	$(BIN)/python -m tools.licences

sbom: $(STAMP)  ## Write build/sbom.cdx.json: what the image holds (CycloneDX)
	$(BIN)/python -m tools.sbom

check-security: $(STAMP)  ## Look for security faults in the code and known ones in packages; STRICT=1 fails where packages cannot be audited
	$(BIN)/ruff check --isolated --target-version py311 --select S --ignore S311 services transload tools
	$(BIN)/python -m tools.audit $(if $(filter 1,$(STRICT)),--strict)

simulate: $(STAMP)  ## Replay one simulated migration with its trace: SEED=7, with MUTANT=name a bug put in, with MATCHED=1 one that matches
	@$(BIN)/python -m tests.simulation --seed $(SEED) --mutant "$(MUTANT)" $(if $(filter 1,$(MATCHED)),--matched)

simulate-many: $(STAMP)  ## Simulate COUNT migrations under faults from seed FIRST on, over WORKERS processes
	@$(BIN)/python -m tests.simulation --first $(or $(FIRST),1) --count $(or $(COUNT),2000) --seconds $(or $(SECONDS_MAX),0) --workers $(WORKERS) \
	  $(if $(filter 1,$(MATCHED)),--matched)

simulate-table: $(STAMP)  ## Count which faults were drawn and which really hit, over COUNT seeds from FIRST on
	@$(BIN)/python -m tests.simulation.table --first $(or $(FIRST),1) --count $(or $(COUNT),100) --workers $(WORKERS)

simulate-mutants: $(STAMP)  ## Look for each bug put in on purpose, with at most COUNT seeds
	@$(BIN)/python -m tests.simulation --mutants $(MUTANTS) --count $(or $(COUNT),500) --workers $(WORKERS)

chaos: $(STAMP)  ## Kill random services of a real installation with three loaders for SECONDS (default 600), from seed SEED on
	TRANSLOAD_CHAOS_SECONDS=$(or $(SECONDS),600) TRANSLOAD_CHAOS_SEED=$(SEED) $(BIN)/python -m pytest -q -s tests/fault/test_chaos.py

nats-faults: $(STAMP)  ## Kill, rob and cut off servers of a NATS cluster, each fault in a migration of its own (ten minutes)
	TRANSLOAD_TEST_NATS_FAULTS=each $(BIN)/python -m pytest -q tests/fault/test_nats_cluster.py

fuzz: $(STAMP)  ## Send malformed requests to every method and malformed messages to every stream: SEED=7 COUNT=100 MESSAGES=200, POSTGRES=1
	$(BIN)/python -m tests.fuzz --seed $(SEED) --count $(or $(COUNT),100) --messages $(or $(MESSAGES),200) $(if $(filter 1,$(POSTGRES)),--postgres)

soak: $(STAMP)  ## Run ten migrations at once into two companies for MINUTES (default 30) and judge memory, handles and budgets
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),30)

whole-way: $(STAMP) $(OBJECT_STORE)/.installed  ## Migrate on PostgreSQL, a NATS cluster and S3 with mTLS and roles, quietly and with deaths
	TRANSLOAD_WHOLE_WAY=1 $(BIN)/python -m pytest -q -s tests/fault/test_whole_way.py

bench: $(STAMP)  ## Measure against a baseline in the same run
	$(BIN)/python -m bench

clean:  ## Remove the virtual environment and all run data
	rm -rf $(VENV) $(LINTER) $(OBJECT_STORE) .transload build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
