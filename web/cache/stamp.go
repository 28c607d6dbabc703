package cache

import (
	"os"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
)

// stamp tells whether a file is the one that was written or checked: a sum of its inode, size and time of modification.
// 0 is that of no file, and all others are odd.
type stamp uint64

// asItIs instead of the stamp of a file means that its body need not be checked.
const asItIs stamp = 2

func stampOf(stat *unix.Stat_t) stamp {
	sum := uint64(0)
	for _, n := range [...]uint64{stat.Ino, uint64(stat.Size), uint64(unix.TimespecToNsec(stat.Mtim))} {
		sum = (sum ^ n) * 0x9e3779b97f4a7c15 // 2^64 by the golden ratio, which spreads the bits (Knuth, 6.4)
		sum ^= sum >> 32
	}
	return stamp(sum | 1)
}

// stampAt is the stamp of the file with a path, 0 if that fails.
func stampAt(path string) stamp {
	var stat unix.Stat_t
	if unix.Lstat(path, &stat) != nil {
		return 0
	}
	return stampOf(&stat)
}

// stampOfFile is the stamp of an open file, 0 if nothing has its name any more or the call fails.
func stampOfFile(file *os.File) stamp {
	var stat unix.Stat_t
	if unix.Fstat(int(file.Fd()), &stat) != nil || stat.Nlink == 0 {
		return 0
	}
	return stampOf(&stat)
}

// seenEveryMS is how long a body in memory is used without a look at its file: it is right whatever happens to that,
// so only a removal, which means that the response is not to be used, can come late.
const seenEveryMS = 1000

// unchanged reports whether the file of the object is still the one that was opened. A body that is sent from its file
// is looked at for each request, because its length is promised before its bytes are read.
func (o *Object) unchanged(now clock.Reading) bool {
	if o.File != nil {
		return stampOfFile(o.File) == o.stamp
	}
	seen := o.seenMS.Load()
	if now.MonoMS-seen < seenEveryMS || !o.seenMS.CompareAndSwap(seen, now.MonoMS) {
		return true // or another request looks at it now
	}
	return stampAt(o.path) == o.stamp
}
