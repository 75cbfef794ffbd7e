# Every target makes the environment it needs, once. PYTHON chooses what it is made with:
#
#   make PYTHON=python3.12 test

PYTHON ?= python3
RUN ?= runs/demo
ARGS ?=
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
MODERN := import sys; sys.exit(sys.version_info < (3, 10))

# One thread per process, whatever the machine: the tests are WORKERS processes, and training sets
# the threads of its matrix products itself (--threads). More threads than free cores is slower
# than one.
OMP_NUM_THREADS ?= 1
export OMP_NUM_THREADS

.PHONY: help env train test lint clean

help:
	@echo 'make train   trains the demo agent: scores, pictures of what it saw and where it went (RUN=$(RUN))'
	@echo 'make test    ruff, mypy, codespell and pytest (WORKERS=$(WORKERS))'
	@echo 'make lint    the same without pytest'
	@echo 'make env     only makes the environment, in $(VENV)'
	@echo 'make clean   removes the environment and the caches; runs are kept'

env: $(READY)

# The mark comes last, so that whatever was interrupted is taken up again. Compiling at once pays
# where PYTHONDONTWRITEBYTECODE is set: every process would compile torch anew, 6 s of it.
$(READY): pyproject.toml constraints.txt
	@command -v '$(PYTHON)' >/dev/null || { echo 'error: there is no $(PYTHON) here. Install' \
		'Python 3.10 or newer, or name it: make PYTHON=python3.12' >&2; exit 1; }
	@'$(PYTHON)' -c '$(MODERN)' || { echo 'error: Python 3.10 or newer is needed, and $(PYTHON) is' \
		"$$('$(PYTHON)' --version 2>&1). Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "making $(VENV)"
	@$(BIN)/python -c 'import pip; $(MODERN)' 2>/dev/null || '$(PYTHON)' -m venv --clear $(VENV)
	@$(BIN)/uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check -c constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode \
		-c constraints.txt -e '.[dev]'
	@touch $@

# A run that is there already is finished where it was interrupted, and its scores shown again.
train: env
	@if [ -f '$(RUN)/config.json' ]; then \
		echo '$(RUN) is there already: going on with it. To begin anew, remove it or name another' \
			'with RUN=runs/NAME.'; \
		$(BIN)/python -m agents.train --or-houses --resume '$(RUN)' $(ARGS); \
	else \
		$(BIN)/python -m agents.train --or-houses --out '$(RUN)' $(ARGS); \
	fi

test: lint
	$(BIN)/python -m pytest -n $(WORKERS)

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
