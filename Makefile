# `make book` and `make test` are the two commands that a reader needs; `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/ready
SERVE_PORT ?= 8000

# One thread a process: the test runner fills the cores with processes.
export OMP_NUM_THREADS ?= 1
export PYTHONHASHSEED ?= 0

.DEFAULT_GOAL := help
.PHONY: help book serve test test-browser test-numbers lab notebooks lint lock clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Installs only when requirements.txt or pyproject.toml changed since the last time.
$(READY): requirements.txt pyproject.toml tools/check_python.sh
	@sh tools/check_python.sh "$(PYTHON)"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@echo "Installing the locked requirements into $(VENV) (once; takes a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY)  ## build the HTML book, warnings are errors
	@$(BIN)/python tools/build_book.py

serve: book  ## build the book and open it on localhost
	@$(BIN)/python tools/serve.py --port $(SERVE_PORT)

test: $(READY)  ## run every check: unit tests, and nbval over every notebook
	@$(BIN)/python -m pytest

test-browser: book  ## read every page of the built book in Chromium
	@$(BIN)/python -m pytest tests/browser -m browser -n 0

test-numbers: $(READY)  ## run every notebook with two threads and with older instruction sets
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest book
	ATEN_CPU_CAPABILITY=default OPENBLAS_CORETYPE=Nehalem ONEDNN_MAX_CPU_ISA=SSE41 \
		$(BIN)/python -m pytest book

lab: $(READY)  ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab --notebook-dir=book

notebooks: $(READY)  ## re-execute all notebooks in place
	@$(BIN)/python tools/notebooks.py execute

lint: $(READY)  ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# PyTorch's wheels for Linux ask for CUDA packages, those of the CPU build do not: the lock leaves
# them out, so that it serves both.
lock: $(READY)  ## write requirements.txt anew from the ranges in pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--no-annotate --no-header --extra book --extra lab --extra test $(LOCK_FLAGS) pyproject.toml > $(VENV)/lock.txt
	@{ echo "# Made by 'make lock' from pyproject.toml: change the ranges there, not the versions here."; \
		grep -v -E '^(nvidia-|cuda-|triton)' $(VENV)/lock.txt; } > requirements.txt
	@echo "Wrote requirements.txt; 'make test' installs it."

clean:  ## remove everything that make made, .venv included
	rm -rf $(VENV) _build .pytest_cache .hypothesis .ruff_cache adam_tutorial.egg-info
	find adam_tutorial tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
