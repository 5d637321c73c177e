# Every target makes .venv by itself on a fresh machine: `make test` is all a clone needs.

PYTHON ?= python3
# More flags for pip, e.g. PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" for torch without CUDA
PIP_FLAGS ?=

BIN := .venv/bin
READY := .venv/.ready
BEGUN := .venv/.begun
PEERS := .venv-peers
ZOO := .venv-zoo
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.PHONY: help demo test test-extras test-gpu faults bench bench-peers bench-zoo rooms fix clean
.DEFAULT_GOAL := help

help:
	@echo "make demo          profile a published network: a table and reports/demo.html"
	@echo "make test          lint, types and tests: what CI runs"
	@echo "make test-extras   the tests of the extras openvino, ray, remote and slurm"
	@echo "                   (which this installs; moto serves s3), those that need"
	@echo "                   sshd, and all of torch's own samples of its operators"
	@echo "make test-gpu      the tests that need a GPU: targets, latencies, a training"
	@echo "                   step; without a GPU it says so"
	@echo "make faults        signals at every step of a study, by both kinds, each with"
	@echo "                   the run that goes on, then kills, stops, cuts and"
	@echo "                   damages: studies/benchmarks/faults (2 hours)"
	@echo "make bench         run every script in studies/benchmarks"
	@echo "make bench-peers   the one that compares with other counters, in an"
	@echo "                   environment that has them"
	@echo "make bench-zoo     the one that counts networks of timm and transformers,"
	@echo "                   in an environment that has them"
	@echo "make rooms         who imports whom between the rooms of archcost/"
	@echo "make fix           mend what the linter can mend, and format"
	@echo "make clean         remove .venv and everything made"
	@echo
	@echo "PYTHON=python3.12 make ... chooses the interpreter (3.11 or later) that .venv"
	@echo "is made from."

# .begun is there while pip works: if it is found again, that run was interrupted and .venv is made anew.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "archcost needs Python 3.11 or later; '$(PYTHON)' is" \
			"$$($(PYTHON) -c 'import platform; print(platform.python_version())' 2>/dev/null || echo missing)." >&2; \
		echo "Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@if [ -e $(BEGUN) ] || ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
		echo "Making .venv (once; torch is large, this takes minutes) ..."; \
		rm -rf .venv && mkdir .venv && touch $(BEGUN) && $(PYTHON) -m venv .venv; \
	else echo "Bringing .venv up to date ..."; rm -f $(READY) && touch $(BEGUN); fi
	@$(PIP) install $(PIP_FLAGS) -c constraints.txt 'pip>=25.1' # the first that knows --group
	@$(PIP) install $(PIP_FLAGS) -c constraints.txt -e . --group dev
	@mv $(BEGUN) $@ && touch $@

demo: $(READY)
	@mkdir -p reports
	@$(BIN)/archcost profile resnet-50 --html reports/demo.html
	@echo "The same numbers as a page: reports/demo.html (open it in a browser)"

# Bytecode is kept, whatever the environment says: tests start Python many times.
test: export PYTHONDONTWRITEBYTECODE :=
test: $(READY)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "Not formatted; run 'make fix'" >&2; exit 1; }
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m pytest -q -n auto --dist loadfile

test-extras: $(READY)
	@$(PIP) install $(PIP_FLAGS) -c constraints.txt -e '.[openvino,ray,remote,slurm]' --group manifests \
		--group object-store
	@$(BIN)/python -m pytest -q tests/latency/test_agreement.py tests/latency/test_gpu.py \
		tests/latency/layers/test_openvino.py tests/cli/test_model_files.py
	@$(BIN)/python -m pytest -q tests/latency/test_ssh.py
	@$(BIN)/python -m pytest -q tests/study/test_engines.py tests/study/test_kubernetes.py tests/study/test_s3.py
	@ARCHCOST_EVERY_SAMPLE=1 $(BIN)/python -m pytest -q tests/counting/test_operators.py tests/counting/test_kinds.py

test-gpu: $(READY)
	@why=$$($(BIN)/python -c 'from archcost.latency.targets import cuda; print(cuda.why_not(0))') || exit 1; \
	if [ -n "$$why" ]; then echo "Nothing tested, there is no GPU here: $$why"; else \
		$(BIN)/python -m pytest -q -m gpu; fi

faults: $(READY)
	@ARCHCOST_FAULTS=1 $(BIN)/python -m pytest -q tests/study/test_signals.py tests/study/test_failing_runs.py \
		tests/study/test_snapshot.py tests/study/test_damaged.py tests/study/test_leases.py
	@$(BIN)/python studies/benchmarks/faults

bench: $(READY)
	@set -e; for script in $(sort $(wildcard studies/benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python $$script; done

# The counters that archcost is compared with are no dependencies of it: they get an environment of their own.
$(PEERS)/.ready: pyproject.toml constraints.txt studies/benchmarks/peers.txt
	@echo "Making $(PEERS) (once; torch is large, this takes minutes) ..."
	@rm -rf $(PEERS) && $(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python -m pip --quiet --disable-pip-version-check install $(PIP_FLAGS) -c constraints.txt \
		-e . -r studies/benchmarks/peers.txt
	@touch $@

bench-peers: $(PEERS)/.ready
	@$(PEERS)/bin/python studies/benchmarks/peers.py

$(ZOO)/.ready: pyproject.toml constraints.txt studies/benchmarks/zoo.txt
	@echo "Making $(ZOO) (once; torch is large, this takes minutes) ..."
	@rm -rf $(ZOO) && $(PYTHON) -m venv $(ZOO)
	@$(ZOO)/bin/python -m pip --quiet --disable-pip-version-check install $(PIP_FLAGS) -c constraints.txt -e . tqdm h11 idna certifi
	@$(ZOO)/bin/python -m pip --quiet --disable-pip-version-check install --no-deps -r studies/benchmarks/zoo.txt
	@touch $@

bench-zoo: $(ZOO)/.ready
	@$(ZOO)/bin/python studies/benchmarks/zoo.py

rooms:
	@$(PYTHON) tests/support/rooms.py

fix: $(READY)
	@$(BIN)/python docs/make.py
	@$(BIN)/ruff check --quiet --fix . ; status=$$?; $(BIN)/ruff format --quiet . && exit $$status

clean:
	@rm -rf .venv $(PEERS) $(ZOO) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info reports/demo.html
	@find archcost tests studies -name __pycache__ -type d -prune -exec rm -rf {} +
