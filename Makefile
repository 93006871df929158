# SPDX-License-Identifier: GPL-2.0-or-later
# `make` alone lists the targets. Each sets up what it needs by itself, on Debian with apt.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

VERSION := $(shell sed -n 's/^version=//p' metadata.txt)
# The simulated scene unless the user names an image: make demo SCENE=path
SCENE ?=
# Where `make install` puts the plugin: make install PROFILE=name
PROFILE ?= default
PLUGINS ?= $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/QGIS/QGIS3/profiles/$(PROFILE)/python/plugins

# $(call pytest,RUNNER,FOLDER): exit code 5, a folder without tests, is no failure.
pytest = $(1) -m pytest $(2) || { code=$$?; [ $$code -eq 5 ] || exit $$code; }
# A screen of its own for PyQGIS; -a finds a free display number.
xvfb = xvfb-run -a -s "-screen 0 1600x1000x24"

.PHONY: help setup demo test lint unit qgis e2e coverage format lock package install clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## install what is missing: Debian packages, .venv, .venv-qgis
	@scripts/setup.sh

demo: setup ## do the main job in QGIS and leave it in build/demo (SCENE=path for your own image)
	@.venv/bin/python scripts/demo.py $(if $(SCENE),--scene "$(SCENE)")

# Neither folder of tests keeps more than one core busy. What each prints is shown when it has ended.
test: lint ## everything that must pass
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target unit qgis
	@$(MAKE) --no-print-directory e2e

lint: setup ## ruff, mypy (strict), bandit
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/bandit --quiet --recursive --configfile pyproject.toml ssl4eo_plugin

unit: setup ## tests without QGIS
	$(call pytest,.venv/bin/python,tests/unit)

qgis: setup ## tests inside PyQGIS
	$(call pytest,$(xvfb) .venv-qgis/bin/python,tests/qgis)

e2e: setup ## the real QGIS application, with mouse events
	$(call pytest,.venv/bin/python,tests/e2e)

coverage: setup ## which lines the unit tests reach
	.venv/bin/python -m pytest tests/unit --cov --cov-report=term

format: setup ## let ruff write the code's layout
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: ## pin requirements/*.in anew (LOCK_FLAGS=--upgrade for the newest)
	@scripts/setup.sh lock $(LOCK_FLAGS)

package: setup ## build the zip that QGIS installs
	@.venv/bin/python scripts/stage_plugin.py build/package --zip "build/ssl4eo_plugin-$(VERSION).zip"

install: setup ## put the plugin into your QGIS profile, with this checkout's backend (PROFILE=name)
	@.venv/bin/python scripts/stage_plugin.py "$(PLUGINS)" --backend "$(CURDIR)/.venv/bin/ssl4eo"

clean: ## remove what was built; the environments stay
	rm -rf build .qgis-settings .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage backend/build
	find . -name __pycache__ -not -path './.venv*' -not -path './.tools/*' -prune -exec rm -rf {} +
