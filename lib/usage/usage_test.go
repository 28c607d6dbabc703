package usage

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestFiguresAreThoseOfThisProcess(t *testing.T) {
	started := time.UnixMilli(1234567)
	before := Read(started)
	if before.StartTimeSeconds != 1234.567 || before.GoVersion != runtime.Version() || before.MaxCores != runtime.GOMAXPROCS(0) {
		t.Errorf("%+v", before)
	}
	if before.MaxFiles == 0 || before.Threads == 0 || before.Goroutines == 0 || before.HeapBytes == 0 || before.NextCollectionBytes == 0 ||
		before.GoBytes < before.HeapBytes {
		t.Errorf("%+v", before)
	}
	stop := make(chan struct{})
	defer close(stop)
	for range 10 {
		go func() { <-stop }()
	}
	spent := 0
	for begin := before.CPUSeconds; Read(started).CPUSeconds <= begin; spent++ {
		_ = make([]byte, 1<<16)
	}
	if after := Read(started); after.Goroutines < before.Goroutines+10 {
		t.Errorf("%d goroutines, before %d", after.Goroutines, before.Goroutines)
	}
}

func TestMemoryAndFilesOnLinux(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not tell")
	}
	before := Read(time.Now())
	if before.ResidentBytes < 1<<20 || before.VirtualBytes < before.ResidentBytes {
		t.Errorf("%d bytes resident of %d", before.ResidentBytes, before.VirtualBytes)
	}
	for range 5 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	if after := Read(time.Now()); after.OpenFiles != before.OpenFiles+5 {
		t.Errorf("%d open files, before %d", after.OpenFiles, before.OpenFiles)
	}
}
