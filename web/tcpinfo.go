package web

// TCPInfo is what the kernel knows of a TCP connection.
type TCPInfo struct {
	RTTMicros, RTTVarianceMicros uint32 // the round trip
	SendWindowSegments           uint32
	ReceiveSpaceBytes            uint32
}
