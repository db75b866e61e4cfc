# Copyright (c) 2026, inx.fleet contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Debian's own, which is built with all optimizations, before one that is first in PATH.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
LAB = $(PYTHON) tests/lab/lab.py
IN_TREE = $(PYTHON) tests/environment.py
# One worker for the host of each Incus version, and one for the targets that have hosts of their own.
PYTEST = $(IN_TREE) pytest -n 3

# For one lab host: make lab-up NAME=a IMAGE=incus-7.0
NAME ?= dev
IMAGE ?= incus-6.0

.DEFAULT_GOAL := help
.PHONY: help setup test test-faults unit static sanity nox integration build docs changelog release nixos-eval images lab-up lab-ssh lab-down lab-list bench bench-evaluation bench-fleet demo demo-down demo-picture report report-picture clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

setup: ## install what the tests need, into a cache and nowhere else
	@$(IN_TREE)

test: images ## run every test: static, unit, integration on Incus 6.0 and 7.0
	@INX_FLEET_NIXPKGS='$(NIXPKGS)' $(PYTEST) -v

test-faults: images ## try to break it, as often as a report wants, with a table at the end: make test-faults TARGET='faults_*'
	@INX_FLEET_FAULTS_LONG=1 INX_FLEET_TARGET='$(or $(TARGET),faults_*)' INX_FLEET_INCUS='$(INCUS)' \
	INX_FLEET_EXTRA='$(EXTRA)' $(PYTEST) -v tests/integration

unit: ## run the unit tests
	@$(IN_TREE) pytest tests/unit

static: ## run ansible-test sanity, the linters, the type checker, and a build of the collection
	@$(IN_TREE) pytest -v tests/static

sanity: ## run ansible-test sanity alone
	@$(IN_TREE) pytest -v tests/static -k sanity

nox: ## run the checks of antsibull-nox that tests/static lacks
	@$(IN_TREE) sh -c 'python -m venv "$$INX_FLEET_CACHE/nox" && . "$$INX_FLEET_CACHE/nox/bin/activate" && \
	pip install --quiet nox==2026.10.20 antsibull-nox==1.10.0 && nox --no-venv --session extra-checks'

integration: ## run integration targets: make integration TARGET=inx_container INCUS=6.0 EXTRA='{"parts": ["drift"]}'
	@INX_FLEET_TARGET='$(TARGET)' INX_FLEET_INCUS='$(INCUS)' INX_FLEET_EXTRA='$(EXTRA)' $(PYTEST) -v tests/integration

nixos-eval: ## evaluate the NixOS modules, the examples and all Nix in the pages: make nixos-eval NIXPKGS=DIR
	@INX_FLEET_NIXPKGS='$(NIXPKGS)' $(IN_TREE) pytest -v -rfEsP tests/nixos

build: ## build the collection into the cache, as ansible-galaxy takes it
	@$(IN_TREE) sh -c 'ansible-galaxy collection build --force --output-path "$$INX_FLEET_CACHE/build"'

docs: ## build the reference of modules and roles as HTML, into the cache
	@$(IN_TREE) python tests/reference.py

changelog: ## make a release of the changelog's fragments, for the version in galaxy.yml
	@$(IN_TREE) sh -c 'cd $(CURDIR) && antsibull-changelog release --update-existing'

release: ## build the collection into the cache, and check that file with galaxy-importer and the changelog
	@$(IN_TREE) python tests/release.py

images: ## build the root file systems of the lab that are missing
	@$(LAB) images

lab-up: ## boot a lab host: make lab-up NAME=a IMAGE=bare (or incus-6.0, incus-7.0)
	@$(LAB) up $(NAME) --image $(IMAGE)

lab-ssh: ## log in to a lab host: make lab-ssh NAME=a
	@$(LAB) ssh $(NAME)

lab-down: ## throw a lab host away: make lab-down NAME=a
	@$(LAB) down $(NAME)

lab-list: ## list the lab hosts
	@$(LAB) list

bench: ## measure syncs of roots and containers on a provisioned lab host: make bench NAME=a TOOL=DIRECTORY LOOPS=100
	@$(PYTHON) bench/gcroots.py $(NAME)
	@$(IN_TREE) python bench/containers.py $(NAME) $(if $(TOOL),--tool $(TOOL)) $(if $(LOOPS),--loops $(LOOPS)) --output $(CURDIR)/docs

bench-evaluation: ## measure evaluation on a lab host that has Nix: make bench-evaluation NAME=a
	@$(PYTHON) bench/evaluation.py $(NAME) --output $(CURDIR)/docs/speed.md

bench-fleet: ## measure a run without changes on provisioned lab hosts: make bench-fleet NAME="a b c"
	@$(IN_TREE) python bench/fleet.py $(NAME) $(if $(NOTE),--note "$(NOTE)") --output $(CURDIR)/docs/speed.md

demo: ## provision a bare host and run two containers on it
	@$(IN_TREE) python tests/lab/demo/demo.py

demo-down: ## throw the demo's host away
	@$(LAB) down demo

demo-picture: demo-down ## record the demo anew, as docs/demo.svg
	@$(PYTHON) tests/lab/demo/record.py docs/demo.svg

report: ## open the HTML report of drift in a headless Chromium, which is installed if it is missing
	@$(IN_TREE) pytest -v tests/report

report-picture: ## take the picture of the HTML report anew, as docs/report.png
	@$(IN_TREE) sh -c 'PYTHONPATH="$$ANSIBLE_COLLECTIONS_PATH" python -m ansible_collections.inx.fleet.tests.report.picture $(CURDIR)/docs/report.png'

clean: ## throw all lab hosts and the whole cache away
	@$(PYTHON) tests/lab/lab.py clean --cache
