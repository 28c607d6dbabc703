// Package register is a small replicated register: for each of a few names it decides values with the numbers 1, 2, 3…,
// and each number once, whatever the lag, with crashes and partitions. Strict limits keep their views in it.
//
// The consensus is Raft, by go.etcd.io/raft/v3: register.go drives it with time, messages and a disk that the caller
// passes. member.go has what the library leaves open: how a cluster is founded, and how a member that lost its disk
// comes back. state.go has what is decided, storage.go the bytes on disk, message.go those between members, and what is
// rejected of them.
//
// Members are the seats of a list that all nodes have alike, by the Seat numbers of cluster/strict. A register of
// another list is a stranger.
package register
