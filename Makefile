# meshferry: `make up` runs it, `make test` tests it, `make help` lists the rest.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := producers translators sinks agent schemas pipeline
CORPUS ?= ../shared/corpus
UP_FLAGS ?=
SEEDS ?= 20
COUNT ?= 100000
SEED ?= 1
WATCHERS ?= 10000
SECONDS ?= 300
LOG ?= kafka

.DEFAULT_GOAL := help
.PHONY: help up check test torture fuzz soak chaos fidelity golden corpus bench bench-translate docs lock clean wheel

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: .venv/run.stamp ## build .venv and serve examples/quickstart/envoy.yaml as etcd v3 on 127.0.0.1:2379
	$(BIN)/meshferry up examples/quickstart/envoy.yaml --view quickstart --state state $(UP_FLAGS)

test: .venv/dev.stamp ## the whole test suite, Kafka included (needs Java and Maven, or Docker)
	$(BIN)/python -m pytest

check: .venv/dev.stamp ## linters, types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pipeline.docs --check

torture: .venv/dev.stamp ## kill -9 everything at random, SEEDS=N times
	MESHFERRY_TORTURE_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/e2e/test_torture.py

fuzz: .venv/dev.stamp ## COUNT=N hostile requests at an agent, those of SEED=N
	$(BIN)/python -m tests.agent.torture.fuzz --count $(COUNT) --seed $(SEED)

soak: .venv/dev.stamp ## WATCHERS=N idle watches on an agent for SECONDS=N
	$(BIN)/python -m tests.agent.torture.soak --watchers $(WATCHERS) --seconds $(SECONDS)

chaos: .venv/dev.stamp ## 50 watchers, 5,000 changes; agent and LOG=kafka|sqlite killed 50 times, as SEED=N says
	$(BIN)/python -m tests.agent.torture.chaos --log $(LOG) --seed $(SEED)

fidelity: SEEDS = 5000
fidelity: .venv/dev.stamp ## compare SEEDS=N random configurations, spread over four levels, with the real Envoy
	$(BIN)/python -m tests.oracle.fidelity_run $(SEEDS)

golden: .venv/dev.stamp ## rewrite the wanted half of every golden case; read the diff
	$(BIN)/python -m tests.golden.rewrite

corpus: .venv/dev.stamp ## translate and replay every configuration in CORPUS=DIR and print a table per control plane
	$(BIN)/python -m tests.corpus.report $(CORPUS)
	$(BIN)/python -m tests.corpus.replay $(CORPUS)

bench: .venv/dev.stamp ## every figure beside its budget and its peer
	$(BIN)/python -m bench.latency
	$(BIN)/python -m bench.etcd
	$(BIN)/python -m bench.handover
	$(BIN)/python -m bench.ingest
	$(BIN)/python -m bench.translate

bench-translate: .venv/dev.stamp ## how fast units become bundles
	$(BIN)/python -m bench.translate

docs: .venv/dev.stamp ## rewrite the generated documents
	$(BIN)/python -m pipeline.docs

wheel: .venv/dev.stamp ## build the wheel into dist/
	PYTHONPATH=build/deps $(BIN)/python -m build --wheel --no-isolation

lock: ## make requirements/*.txt anew from requirements/*.in (needs uv)
	cd requirements && for part in run build dev; do \
	  uv pip compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links --no-header \
	    --python-version 3.11 $$part.in --output-file $$part.txt || exit 1; done

clean: ## remove everything that was built, and the state of `make up`
	rm -rf .venv build dist state .cache schemas/xds.binpb schemas/etcd.binpb

.venv/base.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "meshferry needs Python 3.11 or newer: set PYTHON=…")'
	$(PYTHON) -m venv .venv
	@touch $@

build/deps.stamp: .venv/base.stamp requirements/build.txt
	rm -rf build/deps
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --target build/deps -r requirements/build.txt
	@touch $@

.venv/run.stamp: .venv/base.stamp build/deps.stamp requirements/run.txt pyproject.toml schemas/descriptor_set.py $(wildcard schemas/protos/*.proto)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	PYTHONPATH=build/deps $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@
