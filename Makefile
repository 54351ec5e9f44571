# Every command a person needs. `make` alone lists them.
PYTHON ?= python3
API_PORT ?= 8000
STATE ?= .state
SECONDS ?= 600
SEED ?=
COMMANDS ?= 1000000
KILLS ?= 300
CHAOS_STATE ?= .chaos
BIN := .venv/bin
ANVIL_BIN = $(firstword $(wildcard node_modules/@foundry-rs/anvil-*/bin))
# ape finds the node only on PATH; its files stay inside the project.
RUN = PATH="$(CURDIR)/$(BIN):$(CURDIR)/$(ANVIL_BIN):$$PATH" APE_DATA_FOLDER="$(CURDIR)/.cache/ape"

.DEFAULT_GOAL := help
.PHONY: help install up reset test lint compile contracts-test python-test audit fuzz fuzz-matching chaos kills abi lock coverage compiled fuzz-compiled

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## Environment, pinned packages, local node (done by the others when needed)
	@$(PYTHON) scripts/bootstrap.py

up: install ## Runs the whole exchange; Ctrl-C stops it, a second `make up` resumes it
	@$(RUN) $(BIN)/python -m scripts.up --state $(STATE) --api-port $(API_PORT) $(if $(PRICES),--prices $(PRICES))

reset: ## Wipes the local exchange's state
	@$(PYTHON) -m scripts.reset --state $(STATE)

test: install lint compile contracts-test python-test ## Everything: lint, types, imports, contracts, Python, end to end

lint: install
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) mypy --config-file tests/mypy.ini tests scripts benchmarks
	$(RUN) lint-imports
	$(RUN) python -m scripts.check_contracts

compile: install # --force: ape keeps stale bytecode when only an imported module changed
	$(RUN) ape compile --force
	$(RUN) python -m scripts.check_contracts --sizes

contracts-test: install
	$(RUN) ape test tests/contracts --network ethereum:local:foundry

python-test: install
	$(RUN) pytest -p no:ape_test tests --ignore=tests/contracts

audit: install ## Compares the database of the running exchange with the chain
	@$(RUN) $(BIN)/python -m scripts.audit --state $(STATE)

fuzz: install ## Fuzzes the contracts: SECONDS=600 SEED=<any>; prints what was covered
	@$(RUN) $(BIN)/python -m scripts.fuzz --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

fuzz-matching: install ## Fuzzes the matching engine against a naive one: COMMANDS=1000000 SEED=<any>
	@$(RUN) $(BIN)/python -m scripts.fuzz_matching --commands $(COMMANDS) $(if $(SEED),--seed $(SEED))

coverage: install ## Which statements of the contracts the contract tests run; some minutes
	@$(RUN) $(BIN)/python -W ignore -m scripts.coverage --missing

chaos: install ## The whole exchange under load, everything killed at random, then audited: SECONDS=600 SEED=<any>
	@$(RUN) $(BIN)/python -m scripts.chaos --seconds $(SECONDS) --state $(CHAOS_STATE) $(if $(SEED),--seed $(SEED))

kills: install ## SIGKILL of API, engine and settler at random points under load: KILLS=300 SEED=<any>
	@$(RUN) $(BIN)/python -m scripts.chaos --kills $(KILLS) --state $(CHAOS_STATE) $(if $(SEED),--seed $(SEED))

compiled: install ## Compiles the matching engine to machine code from its Python sources (needs a C compiler)
	@$(RUN) $(BIN)/python -m scripts.compile_engine

fuzz-compiled: install ## The compiled engine against its Python sources: COMMANDS=1000000 SEED=<any>
	@$(RUN) $(BIN)/python -m scripts.compare_builds --commands $(COMMANDS) $(if $(SEED),--seed $(SEED))

abi: compile ## Writes cxdex/abi from the compiled contracts
	$(RUN) python -m scripts.export_abi

lock: ## Pins requirements/dev.in into requirements/dev.txt
	$(BIN)/uv pip compile --quiet --no-header --no-annotate requirements/dev.in -o requirements/dev.txt
