# `make help` lists the targets. Everything is installed into .venv, by hash, from the locks in requirements/.
# A stamp file in .venv records which lock is installed, so that nothing is reinstalled until that lock changes.

PYTHON ?= python3
ARGS   ?=
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check -qq

# The newest Python with the newest versions of everything, rather than those of the locks, has an environment of its own.
NEWEST ?= $(shell .ci/newest-python)
NEWEST_VENV := .venv-newest

# All of them take two hours on two cores; gpu does nothing without a GPU. `make bench BENCH=throughput` runs one.
BENCH  ?= throughput mnist1d overhead scaling race gpu parts cluster_model coverage response_surface answers

MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run dev test test-slow test-newest check check-lint check-format check-types check-imports format bench results docs package test-package stranger mutants lowering lock clean

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	    printf '  make %-14s %s\n' "$$name" "$$text"; done
	@echo "PYTHON=python3.12 picks the Python that .venv is made from; ARGS=... is passed on by run, lock and the tests."

setup: $(VENV)/.package  ## create .venv and install lrbench into it
	@:

run: setup  ## train the quickstart study; write tables, plots and a report
	@$(VENV)/bin/lrbench run quickstart $(ARGS)

dev: $(VENV)/.dev  ## setup, plus the tools of tests and linters
	@:

# Each file of tests stays with one worker, so that its fixtures are created once.
PYTEST := -m pytest -n 2 --dist loadfile

test: dev  ## run all tests except the slow ones (ARGS="-k store -x" goes to pytest)
	@$(PY) $(PYTEST) -m "not slow" $(ARGS)

test-slow: dev  ## run the slow tests: clusters, kills at random moments, every command of the docs
	@$(PY) $(PYTEST) -m slow $(ARGS)

test-newest: $(NEWEST_VENV)/.dev  ## test on the newest Python here and the newest versions of everything (NEWEST=python3.13)
	@$(NEWEST_VENV)/bin/python -c 'import platform, jax, numpy, pandas; print( \
	    f"Python {platform.python_version()}, JAX {jax.__version__}, numpy {numpy.__version__}, pandas {pandas.__version__}")'
	@$(NEWEST_VENV)/bin/python $(PYTEST) -m "not slow" $(ARGS)

check: check-lint check-format check-types check-imports  ## run linters, type checks and import contracts (-k: go on after a failure)
	@:

check-lint: dev
	@echo "check: lint"
	@$(PY) -m ruff check --quiet .

check-format: dev
	@echo "check: format"
	@$(PY) -m ruff format --check --quiet --output-format concise . || { echo "some files are not formatted: make format" >&2; exit 1; }

check-types: dev
	@echo "check: types"
	@$(PY) -m mypy --no-error-summary

check-imports: dev
	@echo "check: imports"
	@out=$$($(VENV)/bin/lint-imports --no-logo 2>&1) || { echo "$$out"; exit 1; }

format: dev  ## format, sort imports and fix what ruff can fix
	@$(PY) -m ruff check --quiet --fix . ; $(PY) -m ruff format .

bench: $(VENV)/.bench  ## measure speed, alone and against peers (BENCH=name for one script)
	@for name in $(BENCH); do echo "benchmarks.$$name"; $(PY) -m benchmarks.$$name $(ARGS) || exit 1; done

results: dev  ## run every experiment, and write what they found into results/ (QUICK=1: in seconds, into build/results/)
	@$(PY) -m docs.make_results --run $(if $(QUICK),--quick)

docs: dev  ## build the site of the documentation into build/site; a link that leads nowhere is an error
	@$(PY) docs/make_site.py && echo "build/site/index.html"

package: dev  ## build the wheel, the source distribution and the bill of materials into dist/
	@rm -rf dist
	@$(PY) -m build --no-isolation --outdir dist . >/dev/null
	@$(PY) .ci/sbom.py requirements/runtime.txt > dist/lrbench-$$($(PY) -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])').cdx.json
	@ls -1 dist/*

test-package: package  ## install the wheel into a new environment of each supported Python, with an empty home, and use it
	@$(PY) -m tests.packages dist $(ARGS)

stranger: dev  ## type what the README and the tutorial say, to the letter, in a new clone with an empty home (ARGS="--skip 'make test'")
	@$(PY) -m tests.stranger $(ARGS)

# A random share of the mutants: all of them take days. SHARE above 1 is a number of them.
FOLDER ?= analysis study results lane
SHARE  ?= 0.02

mutants: $(VENV)/.mutants  ## change the source at random and count what the tests notice (FOLDER=study SHARE=0.05)
	@for name in $(FOLDER); do $(PY) -m tests.mutants $$name --share $(SHARE) $(ARGS) || exit 1; done

# A pin that works on the oldest supported Python works on newer ones; the converse does not hold.
lowering: dev  ## lower every problem with every optimizer for GPUs and TPUs; an hour on two cores
	@$(PY) -m tests.lowering

lock: dev  ## resolve pyproject.toml again (ARGS=--upgrade for the newest of everything)
	@$(PY) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	    { echo "the locks are resolved on Python 3.11, the oldest that lrbench supports: make clean lock PYTHON=python3.11" >&2; exit 1; }
	@echo "Locking (2 minutes, or 10 if every file must be fetched for its hash) ..."
	@$(COMPILE) --output-file requirements/dev.txt --extra dev $(ARGS) pyproject.toml
	@$(COMPILE) --output-file requirements/runtime.txt --constraint requirements/dev.txt $(ARGS) pyproject.toml
	@! grep -nE '://|^-| @ ' requirements/*.txt || { echo "a lock contains an address or an option: see above" >&2; exit 1; }
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(PY) -m piptools compile --quiet

clean:  ## remove .venv, .venv-newest, caches and build leftovers, but not results
	@rm -rf $(VENV) $(NEWEST_VENV) .mutants .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- stamps ----

$(VENV)/.made:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) was not found: name a Python 3.11 or newer, as in: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "lrbench requires Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) -V 2>&1): name another, as in: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "$(PYTHON) cannot create virtual environments: install its venv module (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: requirements/runtime.txt $(VENV)/.made
	@echo "Installing lrbench's dependencies into $(VENV) (once, one to two minutes) ..."
	@$(PIP) install --require-hashes -r $<
	@touch $@

# hatchling comes from the lock, so that no build environment has to be downloaded.
# pip compiles what it installs to bytecode, but not an editable package, whose first command would be slower for it.
$(VENV)/.package: pyproject.toml $(VENV)/.runtime
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PY) -m compileall -q lrbench
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime | $(VENV)/.package
	@echo "Installing test tools and linters into $(VENV) (once, one to two minutes) ..."
	@$(PIP) install --require-hashes -r $<
	@touch $@

# Installed once; for newer versions, `make clean` first. It does not depend on the environment of the locks.
$(NEWEST_VENV)/.dev: pyproject.toml
	@[ -n "$(NEWEST)" ] || { echo "no Python newer than 3.11 was found: name one, as in: make test-newest NEWEST=/path/to/python3.13" >&2; exit 1; }
	@"$(NEWEST)" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || \
	    { echo "$(NEWEST) is not a Python 3.12 or newer that can create environments: name another, as in: make test-newest NEWEST=python3.13" >&2; exit 1; }
	@echo "Installing the newest version of everything into $(NEWEST_VENV) for $(NEWEST) (once, two minutes) ..."
	@"$(NEWEST)" -m venv --clear $(NEWEST_VENV)
	@$(NEWEST_VENV)/bin/python -m pip --disable-pip-version-check -qq install --editable '.[dev]'
	@touch $@

# torch is installed separately and at an exact version, so that pip takes the build for this machine rather than the newest.
# It cannot be locked by hash: its builds for CPU and GPU differ.
$(VENV)/.bench: pyproject.toml $(VENV)/.package | $(VENV)/.dev
	@echo "Installing PyTorch 2.13.0, hyperoptax, Optuna and Ray Tune into $(VENV) (once, one to several minutes) ..."
	@$(PIP) install torch==2.13.0
	@$(PIP) install --no-build-isolation --editable '.[bench]'
	@touch $@

# mutmut is exact: it names mutants by number, and another version numbers them differently.
$(VENV)/.mutants: pyproject.toml $(VENV)/.package | $(VENV)/.dev
	@echo "Installing mutmut into $(VENV) (once) ..."
	@$(PIP) install --no-build-isolation --editable '.[mutants]'
	@touch $@
