// Package usage reads what the process uses of the machine: CPU, memory, open files, threads.
package usage

import (
	"runtime"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"
)

// Figures are those of one moment. What a system does not tell is 0 and left out.
type Figures struct {
	CPUSeconds       float64 `json:"cpu_seconds"`
	ResidentBytes    uint64  `json:"resident_memory_bytes,omitempty"`
	VirtualBytes     uint64  `json:"virtual_memory_bytes,omitempty"`
	OpenFiles        int     `json:"open_files,omitempty"`
	MaxFiles         uint64  `json:"max_files,omitempty"`
	StartTimeSeconds float64 `json:"start_time_seconds"`
	GoVersion        string  `json:"go_version"`
	Goroutines       uint64  `json:"goroutines"`
	Threads          int     `json:"threads"`
	MaxCores         int     `json:"max_cores"`
	// HeapBytes are live or not yet collected, GoBytes all that Go has from the system, NextCollectionBytes the heap at
	// which the next collection begins.
	HeapBytes           uint64 `json:"heap_bytes"`
	GoBytes             uint64 `json:"go_memory_bytes"`
	NextCollectionBytes uint64 `json:"next_collection_bytes"`
}

// Read reads them. started is when the process did.
func Read(started time.Time) Figures {
	f := Figures{
		StartTimeSeconds: float64(started.UnixMilli()) / 1000,
		GoVersion:        runtime.Version(),
		MaxCores:         runtime.GOMAXPROCS(0),
	}
	f.Threads, _ = runtime.ThreadCreateProfile(nil)
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		f.CPUSeconds = float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		f.MaxFiles = uint64(files.Cur)
	}
	f.VirtualBytes, f.ResidentBytes = memory()
	f.OpenFiles = openFiles()
	samples := []metrics.Sample{
		{Name: "/sched/goroutines:goroutines"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/heap/goal:bytes"},
	}
	metrics.Read(samples)
	for i, to := range []*uint64{&f.Goroutines, &f.HeapBytes, &f.GoBytes, &f.NextCollectionBytes} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			*to = samples[i].Value.Uint64()
		}
	}
	return f
}
