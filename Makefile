# Gatehouse. `make demo` runs it with sample people and apps; `make test` proves it.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
GO ?= go
RACE ?= $(if $(CI),-race,)

.PHONY: help demo build test tools lint fuzz bench conformance

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: ## start Gatehouse with sample people and apps, and print what to click
	$(GO) run ./cmd/gatehouse demo

build: ## build bin/gatehouse
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/gatehouse ./cmd/gatehouse

test: lint tools ## every test; installs what the browser and peer tests drive (CI=true adds the race detector and leaves nothing out)
	@left=$$(mktemp); LEFT_OUT=$$left $(GO) test -timeout 30m $(RACE) ./...; code=$$?; \
	sort -u $$left; rm -f $$left; exit $$code

tools: ## install what the tests drive: chromium, apache2 with mellon and openidc, node, pysaml2, SimpleSAMLphp, aiosmtpd, xmlsec1, slapd, nginx, schemas (Debian packages, as root), npm packages, oauth2-proxy
	@$(GO) test -count=1 -timeout 30m $(RACE) -run '^TestTools$$' -v ./idp/idptest | grep -v '^=== '

lint: ## formatting and vet
	@test -z "$$(gofmt -l cmd idp sp store templates certs | tee /dev/stderr)"
	$(GO) vet ./...

fuzz: ## each fuzz target for 20 seconds
	@set -e; grep -rlE '^func Fuzz' --include=*_test.go . | while read -r file; do \
	  for target in $$(grep -oE '^func Fuzz[A-Za-z0-9]+' $$file | cut -c6-); do \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime 20s ./$$(dirname $$file); done; done

conformance: ## write docs/conformance.md: which test proves which requirement
	$(GO) test ./idp/idptest -count=1 -run '^TestConformance$$' -write

bench: ## sign-ons, tokens and introspections per second as fractions of their limits, start-up, memory, password sign-ins, large stores
	$(GO) test -run '^$$' -bench '^BenchmarkServer' -benchtime 1x -timeout 30m -v ./idp/idptest
