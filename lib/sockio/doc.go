// Package sockio reads and writes non-blocking stream sockets at the lowest cost.
//
// On Linux the calls are recv and send with MSG_DONTWAIT, and the scheduler is not told of them: a call that cannot
// block need not hand its processor over, and sysmon finds no call to take one away from. Measured for a proxied
// request of 1 KB: 4 % of its CPU. Under the race detector the calls are syscall's own, which tell it what happens
// before what.
package sockio
