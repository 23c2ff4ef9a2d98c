# `make demo` and `make test` are all the set-up there is: each makes what it needs in $(VENV).

VENV = .venv# make VENV=.venv-newest test: a second one beside it
PYTHON =# make PYTHON=/path/to/python3 test: this interpreter, not the newest that is found
WORKERS = 2# processes that share the tests
ARGS =# handed on to pytest or to the benchmark

py = $(VENV)/bin/python
export PIP_DISABLE_PIP_VERSION_CHECK = 1

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.has-demo ## fit lynx and hare, print the table, draw the picture
	@$(py) examples/lynx_hare.py

test: $(VENV)/.has-test ## run all tests
	@$(py) -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-fast: $(VENV)/.has-test ## run the tests that take moments
	@$(py) -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(ARGS)

lint: $(VENV)/.has-lint ## check style
	@$(py) -m ruff check .
	@$(py) -m ruff format --check .

format: $(VENV)/.has-lint ## mend what `make lint` can mend by itself
	@$(py) -m ruff check --fix --quiet .
	@$(py) -m ruff format .

types: $(VENV)/.has-lint ## check types
	@$(py) -m mypy

layers: $(VENV)/.has-lint ## check that imports only point down
	@$(VENV)/bin/lint-imports --no-logo

docs: $(VENV)/.has-docs ## build the documentation, warnings as errors
	@$(py) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

bench: $(VENV)/.has-bench ## compare speed with peers
	@$(py) -m benchmarks.speed $(ARGS)

clean: ## remove all that make has made
	rm -rf $(VENV) .venv-newest docs/_build build dist src/*.egg-info .*_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.NOTPARALLEL:
.PHONY: help demo test test-fast lint format types layers docs bench clean

# ------------------------------------------------------------------------- the environment

$(VENV)/.made:
	@python="$$(sh tools/find_python.sh $(PYTHON))" && \
	echo "$(VENV): made with $$("$$python" --version), $$python" && \
	"$$python" -m venv --clear $(VENV) && touch $@

# A stamp for each set of extras; the demo needs none of them.
$(VENV)/.has-%: $(VENV)/.made pyproject.toml constraints.txt
	@echo "$(VENV): installing for '$*' (a minute or two the first time)"
	@$(py) -m pip install --quiet -c constraints.txt -e ".$(if $(filter-out demo,$*),[$*])"
	@touch $@

# A PYTHON other than the one in $(VENV), or one that has been removed since, makes it anew.
ifneq ($(wildcard $(VENV)/.made),)
in_venv := $(shell sh tools/find_python.sh $(py) 2>/dev/null)
ifneq ($(or $(in_venv),none),$(if $(PYTHON),$(shell sh tools/find_python.sh $(PYTHON) 2>/dev/null),$(in_venv)))
.PHONY: $(VENV)/.made
endif
endif
