# Two commands set everything up: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# Test processes; 0 runs the tests in pytest's own.
JOBS   ?= 2

.PHONY: demo test compile codegen slow check lint bench docs gpu clean

# A stamp per extra: installing again only when pyproject.toml has changed.
$(VENV)/.base: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	touch $@

$(VENV)/.test: $(VENV)/.base
	$(PIP) install --quiet --editable '.[test]'
	touch $@

$(VENV)/.dev: $(VENV)/.base
	$(PIP) install --quiet --editable '.[dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.base
	$(PIP) install --quiet --editable '.[bench]'
	touch $@

$(VENV)/.docs: $(VENV)/.base
	$(PIP) install --quiet --editable '.[docs]'
	touch $@

demo: $(VENV)/.base  ## benchmark a few kernels, then train on the embedded data set
	$(BIN)/fastconv bench --quick
	$(BIN)/fastconv train fashion-sketch --epochs 2 --limit 4000 --out runs/demo --overwrite

test: $(VENV)/.test  ## all tests but the slow ones
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# The tests that numba-cuda makes a difference to.
COMPILED := compile array_compile direct_compile gemm_compile training_compile backend launch memory prepared

# An environment of its own: where numba-cuda is installed, it takes the place of Numba's built-in target.
$(VENV)-cuda/.compile: pyproject.toml
	test -x $(VENV)-cuda/bin/python || $(PYTHON) -m venv $(VENV)-cuda
	$(VENV)-cuda/bin/python -m pip --disable-pip-version-check install --quiet --editable '.[test,cuda-compile]'
	touch $@

compile: $(VENV)-cuda/.compile  ## CUDA kernels through the compiler for seven architectures, and on numba-cuda's target
	$(VENV)-cuda/bin/python -m pytest $(COMPILED:%=tests/test_cuda_%.py) -n $(JOBS) --dist worksteal

codegen: $(VENV)/.test  ## the loops that LLVM makes of emitted functions, for processors from Haswell to Apple's
	$(BIN)/python tests/codegen.py

slow: $(VENV)/.test  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy fastconv

check: lint test

bench: $(VENV)/.bench  ## time everything against what is installed
	$(BIN)/fastconv bench --suite all

docs: $(VENV)/.docs  ## the site, into docs/_build/html: pages, API, a gallery whose programs run; a warning fails
	rm -rf docs/api/generated docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -j $(JOBS) -b html docs docs/_build/html

gpu: $(VENV)/.test  ## on a machine with a GPU: check, time and train, and write a report to docs/gpu
	$(PIP) install --quiet --editable '.[cuda-compile]'
	$(BIN)/python bench/gpu.py

clean:
	rm -rf $(VENV) $(VENV)-cuda build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis runs docs/_build docs/api/generated docs/gallery docs/lectures/chapter_* docs/sg_execution_times.rst
