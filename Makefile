# Runs the project's scripts; every recipe is a command one could type. `make check` is what has to pass.
SHELL := /bin/bash -euo pipefail
export CGO_ENABLED := 0
# The packages whose results depend on the kernels, and the linter that check runs.
NUMERIC := ./internal/kernel/... ./tensor/... ./unet/... ./train/...
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
FASHION ?= /usr/share/datasets/fashion-mnist
RUN ?= runs/fashion
FUZZTIME ?= 20s

.PHONY: build test check bench fuzz golden fashion fashion-student features clean
build: # the static binary ./diffuse
	go build -trimpath -o diffuse ./cmd/diffuse
test:
	go test ./...
check: # all that .ci/run asks for
	@test -z "$$(gofmt -l .)" || { gofmt -d . | head -50; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go test -run Layering ./cmd/diffuse
	go test ./...
	go test -run FullSize ./unet -full
	go test -short -tags noasm $(NUMERIC)
	GODEBUG=cpu.avx512f=off go test -short -count=1 $(NUMERIC)
	GODEBUG=cpu.avx512f=off,cpu.avx2=off go test -short -count=1 $(NUMERIC)
	CGO_ENABLED=1 go test -race -short -timeout 20m ./...
	for s in linux/arm64 darwin/arm64 windows/amd64; do GOOS=$${s%/*} GOARCH=$${s#*/} go vet ./...; done
bench: # lines for benchstat
	go test -run '^$$' -bench . -benchtime 300ms ./...
fuzz: # every fuzz target in turn
	grep -ro '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' . | sort | while IFS=: read -r f t; do \
	  go test -run '^$$' -fuzz "^$${t#func }\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$f")"; done
golden: # agreement with the peers' stored numbers, in words
	go test -v -count=1 -run 'Golden' ./... | grep -v 'no test'
fashion: # trains the embedded model again, hours on two cores
	go run ./cmd/diffuse train --preset fashion --data $(FASHION) --out $(RUN)
fashion-student: # distils the embedded teacher, hours on two cores
	go run ./cmd/diffuse distill --teacher fashion-teacher --preset fashion-student --eval-ref $(FASHION) --out $(RUN)-student
features: # trains the classifier of fd-fashion again, a quarter of an hour on two cores
	go run ./cmd/diffuse train-classifier --data $(FASHION) --title fashion --epochs 20 --note "Fashion-MNIST by Zalando SE, MIT licence." --out zoo/features/fashion.safetensors
clean:
	rm -rf diffuse diffuse.png dist
