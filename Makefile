# Mailroom. `make help` lists what there is.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help build temporal dev up restart down status test mutants lint generate fuzz bench snapshot packages-test images-test compose-test

DEV      := @deploy/dev/run.sh
CHOSEN    = $(if $(CONFIG),-config "$(CONFIG)") $(if $(STORE),-store "$(STORE)")
GODIRS   := activities deploy ingress shared worker workflows
PKG      ?= ./...
# All tests run in two groups. Where no goroutines of ours meet, in pure logic and in tests
# of other processes, the race detector would only make tests slow: those packages are
# compiled as for the programs. The longest packages start first. The second group runs one
# package at a time: its end-to-end tests need the other core.
PLAIN    := ./deploy/dev/e2e ./deploy/dev/defects ./deploy/dev/browser ./deploy/dev/gotest ./deploy/dev/tour ./deploy/dev/words \
	./deploy/docs/... ./deploy/packages ./ingress/signature ./shared/address ./shared/auditchain ./shared/contract ./shared/decode ./shared/edit/... \
	./shared/excerpt ./shared/inspection ./shared/mail ./shared/mime/... ./shared/payload ./shared/reason ./shared/rules \
	./shared/seal ./shared/signing
LONG     := ./ingress/webhook ./ingress/dispatch ./ingress/mailctl ./shared/postgres ./worker ./workflows
RACED     = $(LONG) $(filter-out $(shell go list $(PLAIN)),$(shell go list ./...))
TESTED    = -json -trimpath -vet=off -shuffle=on -count=1 -timeout=20m $(TESTFLAGS)
FUZZTIME ?= 10s
# What `mailroom version`, logs and metrics say of the build.
VERSION  ?= dev
export VERSION

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: ## start the whole stack, send three sample emails, follow the logs; Ctrl-C stops it [STORE=minio]
	$(DEV) dev $(CHOSEN)

up: ## start the whole stack in the background [CONFIG=file] [STORE=minio]
	$(DEV) up $(CHOSEN)

restart: ## restart ingress and worker alone, with what has changed in code and configuration; no post is refused [CONFIG=file]
	$(DEV) restart $(if $(CONFIG),-config "$(CONFIG)")

down: ## stop what up has started [CLEAN=1: forget its data too]
	$(DEV) down $(if $(CLEAN),-clean)

status: ## say what of the stack runs
	$(DEV) status

temporal: ## print where Temporal's command line is: that of PATH, else one that is built once
	$(DEV) temporal

build: ## compile mailroom, mailctl and the sample destination into .dev/bin
	$(DEV) build

test: ## run every test with real services started for it, and list the slowest; or those of some packages [PKG=./shared/...] [TESTFLAGS=-v]
ifneq ($(PKG),./...)
	$(DEV) test $(if $(STORE),-store "$(STORE)") -slowest 10 -- go test -race $(TESTED) $(PKG)
else
	$(DEV) test $(if $(STORE),-store "$(STORE)") -slowest 10 -- go test -race $(TESTED) $(RACED) -- env CGO_ENABLED=0 go test -p 1 $(TESTED) $(PLAIN)
	cd deploy/tools/compose && CGO_ENABLED=0 go test -trimpath -count=1 ./...
	cd deploy/tools/probe && CGO_ENABLED=0 go test -trimpath -count=1 ./...
	cd deploy/tools/devstack && CGO_ENABLED=0 go test -trimpath -count=1 -tags disable_grpc_modules,release -ldflags "-s -w" ./...
endif

mutants: ## put known defects into the code, one at a time, and see that its tests notice
	$(DEV) test -services -- env CGO_ENABLED=0 go test -trimpath -count=1 $(TESTFLAGS) ./deploy/dev/defects

# The packages are compiled as for the programs, not once more; and vet is one of
# golangci-lint's linters.
lint: export CGO_ENABLED := 0
lint: export GOFLAGS := $(GOFLAGS) -trimpath
lint: ## check format, words and paragraphs, golangci-lint with vet, generated code, determinism of workflows, shell scripts
	@unformatted=$$(gofmt -l $(GODIRS)); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi
	go run ./deploy/dev/words
	@set -e; lint=$$(deploy/dev/run.sh tool golangci-lint); echo golangci-lint run ./...; "$$lint" run --allow-parallel-runners ./...
	@set -e; sqlc=$$(deploy/dev/run.sh tool sqlc); echo sqlc diff; "$$sqlc" -f shared/postgres/sqlc.yaml diff
	@set -e; check=$$(deploy/dev/run.sh tool workflowcheck); echo workflowcheck ./workflows/...; "$$check" ./workflows/...
	@command -v shellcheck >/dev/null || { echo "shellcheck is not installed: apt-get install shellcheck"; exit 1; }
	shellcheck .ci/run $$(find $(GODIRS) -name '*.sh')

generate: ## make the code of shared/postgres/dbsqlc from the SQL beside it, and the tables of deploy/docs from the configuration's schema
	go run -trimpath ./deploy/docs/reference
	@set -e; sqlc=$$(CGO_ENABLED=0 deploy/dev/run.sh tool sqlc); "$$sqlc" -f shared/postgres/sqlc.yaml generate

fuzz: ## run every fuzz target for a while [FUZZTIME=10s]
	@deploy/dev/fuzz.sh $(FUZZTIME)

bench: ## measure rates, latencies and memory; prints a table and JSON
	CGO_ENABLED=0 go run -trimpath ./deploy/bench $(BENCHFLAGS)

snapshot: ## build packages for this platform into .dev/dist, or for all platforms [ALL=1]
	@deploy/packages/snapshot.sh $(if $(ALL),all)

packages-test: ## install the .deb, .rpm and npm packages of .dev/dist as users do, with real services; root, on Debian
	deploy/packages/test-rpm.sh
	$(DEV) test -services -- deploy/packages/test.sh
	deploy/packages/npm/test.sh
	deploy/packages/npm/test.sh -as daemon

# With the Docker daemon that runs, else with one of its own; images that no registry has
# are stood in for. Each test names the command and how long it took.
CONTAINED = cd deploy/tools/compose && MAILROOM_CONTAINERS=1 CGO_ENABLED=0 go test -trimpath -count=1 -timeout 60m -v

images-test: ## build our images, run them without rights, and deliver an email with the all-in-one image
	@deploy/images/engine.sh run sh -ec 'deploy/images/standins/standins.sh golang postgres; $(CONTAINED) -run Image $(TESTFLAGS)'

compose-test: ## run docker-compose.yml as documented, kill every container, and see that nothing is lost
	@deploy/images/engine.sh run sh -ec 'deploy/images/standins/standins.sh all; $(CONTAINED) -run TestCompose $(TESTFLAGS)'
