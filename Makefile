# make setup   a virtual environment in .venv with everything pinned (done once; again when the pins change)
# make demo    the main job on photos that come inside an installed package: search, train, verify, report
# make demo-digits   the same for classification: handwritten digits in two or three minutes
# make test    what CI runs: style, types, import direction, then the quick tests
# make slow    the tests that take minutes each
# make bench   the benchmarks that need nothing of yours, one after another, on an otherwise idle machine
# make format  put the code into the house format
#
# PYTHON=python3.12 chooses the interpreter, WORKERS=4 the number of test processes.
# PIP_FLAGS adds to pip's arguments, such as the index of torch's CPU builds (on Linux the default build brings CUDA along).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-digits test slow bench format

PYTHON ?= python3
WORKERS ?= 2
PIP_FLAGS ?=

BIN := .venv/bin
STAMP := .venv/installed
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadscope --no-loadscope-reorder

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Falconet needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || true)." \
	       "Name another: make setup PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Installing into .venv: about 1.7 GB, some minutes, once."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt -e '.[dev,demo]'
	$(BIN)/python -m pip check
	@touch $@

demo: $(STAMP)
	$(BIN)/python examples/demo.py

demo-digits: $(STAMP)
	$(BIN)/python examples/demo_digits.py

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(TESTS)

slow: $(STAMP)
	$(TESTS) -m slow --timeout 3600

bench: $(STAMP)
	for script in $$(grep -L "required=True" benchmarks/*.py); do echo "== $$script"; $(BIN)/python $$script; done

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
