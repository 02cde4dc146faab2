# Every command of the project. `make` lists them.

# SETTING reads one setting of deploy.env; it is empty without the file or the setting.
export DEPLOY_ENV ?= deploy.env
SETTING    = $(shell sed -n 's/^$1=//p' '$(DEPLOY_ENV)' 2>/dev/null | tail -n 1)
HOST      := $(shell uname -m | sed s/arm64/aarch64/)
# The architecture that is shipped: x86_64 or aarch64, which AWS calls arm64.
ARCH      ?= $(or $(call SETTING,ARCH),$(HOST))
override ARCH := $(subst arm64,aarch64,$(ARCH))
MUSL      := $(ARCH)-unknown-linux-musl
CONTAINER ?= docker
IMAGE     ?= plain-lambda
BASE      ?= public.ecr.aws/lambda/provided:al2023
PORT      ?= 9000
PACKAGE   ?= $(or $(call SETTING,PACKAGE),zip)
# PACK is the target that makes the package; CODE is the file that it leaves.
PACK      = $(if $(filter image,$(PACKAGE)),push,zip)
ZIP       = target/deploy/plain-lambda-$(ARCH).zip
SBOM      = target/deploy/plain-lambda-$(ARCH).cdx.json
PUSHED    = target/deploy/image
CODE      = $(if $(filter image,$(PACKAGE)),$(PUSHED),$(ZIP))

# Read when a recipe runs: by then the target `triple` has written the file.
TRIPLE    = $$(cat target/triple)
SHIPPED   = target/$(TRIPLE)/release/bootstrap
TEST_HANDLER = target/$(TRIPLE)/release/test_handler
ARM64     = target/aarch64-unknown-linux-musl/release/bootstrap
LOCAL     = target/debug/local
# `local` for a container: statically linked, as the image has no libraries.
STATIC    = target/$(TRIPLE)/debug/local

# Invokes an action: on this machine, with DATABASE_URL, or with ON=aws in the deployed function.
INVOKE    = $(if $(ON),$(if $(filter aws,$(ON)),deploy/invoke.sh,$(error ON=$(ON): write ON=aws or nothing)),target/debug/bootstrap migrate)

# Tells `bootstrap` the terminal's width, if there is a terminal.
WIDTH     = COLUMNS=$${COLUMNS:-$$(stty size 2>/dev/null </dev/tty | cut -d ' ' -f 2)}

BUILD_TEST_HANDLER = cargo build --release --locked --package tests --bin test_handler --target $(TRIPLE)

# ring has a few C files. The host's own compiler builds them unless the target is another machine.
export TARGET_CC ?= $(if $(filter $(ARCH),$(HOST)),cc,$(ARCH)-linux-gnu-gcc)

# Panics name the paths of the sources. Without the remapping, 20 KB of the executable are the path of
# the home directory, and every home builds a different executable. RUSTFLAGS takes no path with a space.
SOURCES   = $(or $(CARGO_HOME),$(HOME)/.cargo)/registry/src/index.crates.io-1949cf8c6b5b557f/
REMAP     = $(if $(filter 1,$(words $(SOURCES))),--remap-path-prefix=$(SOURCES)=)
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS  = $(REMAP)
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS = $(REMAP)

# Lambda refuses an image with attestations: BuildKit makes it an image index.
export BUILDX_NO_DEFAULT_ATTESTATIONS = 1

# The same sources give the same digest. BuildKit reads the variable, podman takes an option.
export SOURCE_DATE_EPOCH = 0
TIMESTAMP = $(if $(findstring podman,$(CONTAINER)),--timestamp 0)

comma := ,

# The event of `make user`: JSON inside a word of the shell. JSON_TEXT escapes the text of a JSON string,
# SHELL_WORD quotes a word, and `value` does not expand a `$` in the address.
JSON_TEXT  = $(subst ",\",$(subst \,\\,$1))
SHELL_WORD = '$(subst ','\'',$1)'
USER_EVENT = {"action":"user","email":"$(call JSON_TEXT,$(value EMAIL))"$(USER_ROLE)}
USER_ROLE  = $(if $(ROLE),$(comma)"role":"$(call JSON_TEXT,$(value ROLE))")

.DEFAULT_GOAL := help
# Targets that are actions, not files.
.PHONY: migrate status rollback seed user
.PHONY: push zip sbom plan deploy rollback-code versions url logs doctor why destroy
.PHONY: help run test torture rehearse bench check conformance image order settings shipped arm64 triple peers tools clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 } \
		/^## / { print ""; print substr($$0, 4) }' $(MAKEFILE_LIST)

## On this machine
run: ## serve the app on a real Postgres: http://localhost:9000
	cargo build --locked --package bootstrap --package local
	@$(LOCAL) --port $(PORT) \
		--invoke 'migrations={"action":"migrate"}' --invoke 'migrations={"action":"seed"}' \
		--invoke 'migrations={"action":"user","email":"you@example.com","role":"admin"}'

test: shipped tools arm64 sbom ## run every test on real parts and list the missing parts; STRICT=1 fails without one
	$(BUILD_TEST_HANDLER)
	cargo build --locked --package local --target $(TRIPLE)
	@rm -f target/tests/*.txt
	BOOTSTRAP=$(SHIPPED) ARM64=$(ARM64) TEST_HANDLER=$(TEST_HANDLER) LOCAL=$(STATIC) \
		cargo test --workspace --locked; ended=$$?; tests/summary.sh; exit $$ended

torture: shipped ## strike runs of a history at random and compare the ends with psql: RUNS=1000 SEED=1
	cargo build --locked --package local
	RUNS=$(or $(RUNS),1000) SEED=$(or $(SEED),1) BOOTSTRAP=$(SHIPPED) LOCAL=$(LOCAL) \
		cargo test --package tests --locked -- --nocapture migrate::torture

rehearse: shipped tools ## deploy to a rehearsed account and destroy it again, with the real scripts and CLI
	BOOTSTRAP=$(SHIPPED) cargo test --package tests --locked -- --nocapture rehearsal

bench: shipped peers ## measure cold starts against others, and pages of ten million rows; ARGS=--help
	cargo build --locked --package local
	cargo build --locked --profile bench --package tests --bin bench
	@BOOTSTRAP=$(SHIPPED) LOCAL=$(LOCAL) target/release/bench $(ARGS)
	@$(if $(ARGS),,BOOTSTRAP=$(SHIPPED) LOCAL=$(LOCAL) cargo test --package tests --locked -- \
		--ignored --nocapture ten_million_rows | grep -vE '^(START|END|REPORT|INFO)')

check: ## format, lints, documentation, migrations, scripts and licences, all without a warning
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy rustfmt
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --workspace --no-deps --document-private-items --locked
	tests/tools/squawk.sh
	tests/tools/lint.sh
	tests/tools/deny.sh

conformance: $(if $(BOOTSTRAP),,triple) ## write docs/conformance.md, or judge another runtime: BOOTSTRAP=/path
ifdef BOOTSTRAP
	@tests/conformance/table.sh "$(BOOTSTRAP)=$(BOOTSTRAP)"
else
	$(BUILD_TEST_HANDLER)
	cargo build --release --locked --target-dir target/conformance \
		--manifest-path tests/conformance/lambda_runtime/Cargo.toml
	tests/conformance/document.sh "$(TEST_HANDLER)" target/conformance/release/aws-lambda-runtime \
		>target/conformance/conformance.md
	mkdir -p docs && mv target/conformance/conformance.md docs/conformance.md
endif

## A database: that of DATABASE_URL, or with ON=aws that of the deployed functions; JSON=1: no tables
migrate: ## apply migrations/ to the database
status: ## list its applied and its pending migrations
rollback: ## roll its newest migration back with its .down.sql
seed: ## fill it from migrations/seed.sql when it is empty
migrate status seed:
	@$(if $(ON),,cargo build --quiet --locked --package bootstrap)
	@$(WIDTH) $(INVOKE) '{"action":"$@"}'
# With an id, as the AWS CLI may send an event twice.
rollback:
	@$(if $(ON),,cargo build --quiet --locked --package bootstrap)
	@$(WIDTH) $(INVOKE) '{"action":"$@","id":"make-'"$$(date +%s)-$$$$"'"}'

user: ## let EMAIL into the admin tool: a one-time link; ROLE=viewer|editor|admin
	@$(if $(ON),,cargo build --quiet --locked --package bootstrap)
	@$(WIDTH) $(INVOKE) $(call SHELL_WORD,$(USER_EVENT))

## On AWS, with deploy.env (see deploy.env.example); each prints the commands that change something
image: ## build the image: ARCH=x86_64|aarch64 CONTAINER=docker|podman BASE=… IMAGE=… ARGS=--no-cache
	$(CONTAINER) build --platform linux/$(ARCH) --build-arg BUILDPLATFORM=linux/$(HOST) \
		--build-arg ARCH=$(ARCH) --build-arg BASE=$(BASE) \
		$(TIMESTAMP) $(ARGS) --tag $(IMAGE) --file Dockerfile.al2023 .

zip: ## pack the functions for PACKAGE=zip; the same sources, the same bytes
	executable=$$(ARCH=$(ARCH) HOST=$(HOST) CONTAINER=$(CONTAINER) deploy/build.sh) && \
		ARCH=$(ARCH) deploy/zip.sh "$$executable" migrations $(ZIP)

sbom: triple ## write the bill of materials of the executable, every crate of it, as CycloneDX
	deploy/sbom.sh $(TRIPLE) $(SBOM)

push: image ## push the image to the account's ECR for PACKAGE=image
	@CONTAINER=$(CONTAINER) deploy/push.sh $(IMAGE) $(PUSHED)

deploy: settings $(PACK) ## migrate, prove, then give the new code the traffic: ALLOW=what,migrate,refused
	@ARCH=$(ARCH) PACKAGE=$(PACKAGE) deploy/deploy.sh $(CODE)

plan: settings $(if $(filter zip,$(PACK)),zip) ## print what deploy would do (PACKAGE=image: with the image last pushed)
	@PLAN=1 ARCH=$(ARCH) PACKAGE=$(PACKAGE) deploy/deploy.sh $(CODE)

rollback-code: ## give the traffic back to the version before, or to TO=version; the database stays
	@deploy/rollback.sh

versions: ## list the versions that TO can be
	@deploy/versions.sh

why: ## say in half a screen what is wrong with the deployed functions
	@deploy/why.sh

url: ## print the address of the deployed pages
	@deploy/url.sh

logs: ## show the last ten minutes: OF=web|migrations SINCE=2h FIND=text FOLLOW=1
	@deploy/logs.sh $(or $(OF),web)

doctor: ## check the deployed functions and print how to mend what is wrong
	@$(WIDTH) deploy/invoke.sh '{"action":"doctor"}'

destroy: ## remove everything that push and deploy made, except the database; asks for the name
	@deploy/destroy.sh

## Other
clean: ## remove everything that was built, and the private Postgres
	cargo clean

# Writes the symbols that a start uses, for the linker (`bootstrap/build.rs`). Run it after a change of the
# compiler or of a library.
order:
	rustup target add x86_64-unknown-linux-musl aarch64-unknown-linux-musl
	: >bootstrap/startup-order.txt
	KEEP_SYMBOLS=1 TARGET_CC=cc cargo build --release --locked --package bootstrap \
		--target-dir target/order --target x86_64-unknown-linux-musl
	KEEP_SYMBOLS=1 TARGET_CC=aarch64-linux-gnu-gcc cargo build --release --locked \
		--package bootstrap --target-dir target/order --target aarch64-unknown-linux-musl
	UNSTRIPPED=target/order/x86_64-unknown-linux-musl/release/bootstrap \
	UNSTRIPPED_TOO=target/order/aarch64-unknown-linux-musl/release/bootstrap \
		cargo test --package tests --locked -- --ignored the_symbols_of_a_start

# Checks deploy.env, before anything is built.
settings:
	@sh deploy/settings.sh

# Builds the executable that is shipped; `run` uses a debug build, which compiles faster.
shipped: triple
	cargo build --release --locked --package bootstrap --target $(TRIPLE)

# Builds the executable for arm64, which the tests run with qemu. `tools` installs the compiler.
arm64: tools
	@if rustup target add aarch64-unknown-linux-musl 2>target/rustup.log && \
		echo '#include <stdint.h>' | aarch64-linux-gnu-gcc -E - >/dev/null 2>>target/rustup.log; then \
		TARGET_CC=aarch64-linux-gnu-gcc cargo build --release --locked --package bootstrap \
			--target aarch64-unknown-linux-musl; \
	else \
		rm -f $(ARM64); \
		echo "no compiler for arm64 here (target/rustup.log): going on without its executable" >&2; \
		[ "$(STRICT)" != 1 ]; \
	fi

# Writes the target to build for: the static one that is shipped, or the host's own where that one cannot be
# installed or cannot run.
triple:
	@mkdir -p target
	@if [ "$$(uname -s)" = Linux ] && rustup target add $(MUSL) 2>target/rustup.log; then \
		echo $(MUSL) >target/triple; \
	else \
		rustc -vV | sed -n 's/^host: //p' >target/triple; \
		echo "no target $(MUSL) here (target/rustup.log): building for $$(cat target/triple) instead" >&2; \
	fi

# Builds the programs that `bench` compares with, one by one: cargo would unify their features.
peers: triple
	mkdir -p target/bench
	$(CC) -O2 -static -nostdlib -ffreestanding -fno-stack-protector -s \
		-o target/bench/floor tests/bench/peers/floor.c
	$(CC) -O2 -static -s -o target/bench/launch tests/bench/peers/launch.c
	cd tests/bench/peers && \
	for peer in lambda_runtime lambda_http page_tokio_postgres page_sqlx; do \
		cargo build --locked --target-dir '$(CURDIR)/target/bench/peers' \
			--release --package peer_$$peer || exit; \
	done
	cargo install --quiet --locked sqlx-cli --version 0.9.0 --no-default-features \
		--features rustls,postgres --root target/bench/sqlx --target-dir target/bench/peers
	triple=$(TRIPLE); cd tests/bench/peers && \
	for peer in lambda_http_tuned page_tokio_postgres; do \
		cargo build --locked --target-dir '$(CURDIR)/target/bench/peers' \
			--profile tuned --target $$triple --package peer_$$peer || exit; \
	done

# Installs the programs that the tests need and the project does not build.
tools:
	@tests/tools/install.sh
