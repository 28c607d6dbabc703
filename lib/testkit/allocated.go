package testkit

import "runtime/metrics"

// Allocated returns about how many bytes f allocates: small objects are counted some 100 KB late. Nothing else may run
// meanwhile.
func Allocated(f func()) int {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	f()
	metrics.Read(sample)
	return int(sample[0].Value.Uint64() - before)
}
