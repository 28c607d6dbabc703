# Everything here also runs by hand with plain go commands; see CONTRIBUTING.md.
.PHONY: build test race vet staticcheck fuzz bench demo ci swarm night notice dist

build:
	CGO_ENABLED=0 go build -trimpath -o starling .

test:
	go test ./...

race:
	go test -race ./...

vet:
	go vet ./...
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt the files above"; exit 1; }

# Pinned, so that a new release changes nothing unnoticed. It is no dependency of starling and not in go.mod.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
staticcheck:
	go run $(STATICCHECK) ./...

# Each fuzzer for a short while; FUZZTIME=10m for longer.
FUZZTIME ?= 5s
fuzz:
	@.ci/fuzz $(FUZZTIME)

# CPU per request beside nginx and HAProxy where they are installed; propagation, updates and teaching between two nodes.
bench:
	go run ./bench

# What users install, in dist/: tarballs, packages, images, bills of materials, checksums. See packaging/DESIGN.md.
dist:
	packaging/dist

# The licences of what is linked in, from the module cache.
notice:
	go run ./packaging/notice -write

demo:
	go run . demo

ci:
	.ci/run

# So many seeds of the simulator, from FIRST on: SWARM=50000 FIRST=100000 make swarm. A failure prints how to replay its seed.
SWARM ?= 1000
FIRST ?= 1
swarm:
	go test ./sim -run Swarm -swarm $(SWARM) -first $(FIRST) -timeout 24h

# What takes too long for every change: known vulnerabilities, 50,000 seeds, the race detector in all end-to-end tests, the
# simulator and the slowest packages with one goroutine, an hour for each fuzzer.
night:
	.ci/night
