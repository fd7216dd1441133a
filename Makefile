# Everything that is done to this project, by name. Needs Python 3.11 or later, git and make; nothing else.
#
#   make env     the environment .venv, from requirements.lock
#   make demo    env, then: kedro run --pipeline=unsupervised_pcl
#                (DATA=vehicles: the same with --env=synthetic_vehicles)
#   make dev     the environment with the development group, from requirements-dev.lock
#   make test    dev, then every check: ruff, mypy, import-linter, deptry, pytest
#   make quick   the checks that take seconds and the tests without the slow ones, in under 90 s
#   make golden  record the golden traces anew: make golden REASON="why the numbers change"
#   make bench   what the parts of the demo cost: ingestion, loading, training (also beside others), clustering, evaluation
#   make versions   the quick tests against the lowest and the newest open_clip, timm, torch and kedro
#   make browser the pages of data/08_reporting in Chromium: narrow, broad, light, dark; fails where one is wrong
#   make viz     the pipelines as a graph, in a browser
#   make docs    the documents as a site, site/index.html; strict: a dead link fails
#   make repro   the demo as DVC stages; a second time it does nothing
#   make stages  write dvc.yaml anew; ENV=market1501: dvc/market1501/dvc.yaml; OVERLAYS=rn50: with its cells
#   make lock    compile the lock files anew from pyproject.toml
#   make clean   remove .venv and every cache; data/ stays
#
# Another interpreter: make env PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-header

# An environment that is active in the caller's shell must not be the one that is written to. Without bytecode every
# process of the tests would compile them anew.
unexport VIRTUAL_ENV CONDA_PREFIX PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help env dev demo test quick check rules types imports golden bench versions browser viz docs repro stages lock clean

help:
	@sed -n 's/^#   //p' Makefile

env: .venv/.env
dev: .venv/.dev

# Stamps: what they depend on decides whether there is anything to do.
.venv/.uv: requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or later is needed, and $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	       echo "Name a later one: make env PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

.venv/.env: .venv/.uv requirements.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

# requirements-dev.lock holds all that requirements.lock holds, in the same versions. The tests start many processes:
# compiled beforehand, torch and its like are imported in half of the time, also where Python may write no bytecode.
.venv/.dev: .venv/.uv requirements-dev.lock pyproject.toml
	$(INSTALL) --require-hashes -r requirements-dev.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null || true  # some packages hold templates that do not compile
	@touch .venv/.env $@

# What is drawn: people or vehicles. A variable DATA of the caller's shell means something else.
DATA := people
demo: env
	$(if $(filter people vehicles,$(DATA)),,$(error DATA=$(DATA): it is people or vehicles))
	$(BIN)/kedro run --pipeline=unsupervised_pcl $(if $(filter vehicles,$(DATA)),--env=synthetic_vehicles)

test: dev check

# The checks alone, in the environment as it is.
check: rules
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: dev rules
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

# mypy takes one core for most of the time, so that the others run beside it.
rules:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory --jobs=2 types imports

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports
	$(BIN)/deptry src

# The numbers of small runs of all methods, which the suite compares with. The reason stands in every file.
golden:
	$(if $(strip $(REASON)),,$(error Say why the numbers change: make golden REASON="..."))
	PYTHONPATH=src $(BIN)/python tests/golden/golden_runs.py "$$REASON"

bench: env
	$(BIN)/python bench/demo.py
	$(BIN)/python bench/ingestion.py
	$(BIN)/python bench/loading.py
	$(BIN)/python bench/training.py
	$(BIN)/python bench/chunks.py
	$(BIN)/python bench/shared_machine.py
	$(BIN)/python bench/neighbourhoods.py
	$(BIN)/python bench/evaluation.py

versions: dev
	$(BIN)/python bench/versions.py

# Screenshots lie in data/08_reporting/.screenshots, which is no part of the pages.
browser: env
	$(BIN)/python bench/pages.py data/08_reporting --screenshots data/08_reporting/.screenshots

viz: env
	$(BIN)/kedro viz run

# The reference is read from docstrings, without importing anything.
docs: dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html; with its search: $(BIN)/python -m http.server --directory site"

repro: env
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

ENV := synthetic
stages: env
	$(BIN)/python dvc/write.py $(ENV) $(if $(OVERLAYS),--overlays $(OVERLAYS))

# Versions that a lock file has are kept where they still fit; to renew them all, remove the files first.
# The second starts from the first, so that the versions are the same. No file that is written records an address.
lock: .venv/.uv
	$(COMPILE) --group uv -o requirements-uv.lock
	$(COMPILE) --extra cpu --group build --group dev --group docs pyproject.toml -o requirements-dev.lock
	cp requirements-dev.lock requirements.lock
	$(COMPILE) --extra cpu --group build pyproject.toml -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .viz build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
