package h2

import "encoding/binary"

// Preface is the client connection preface.
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const frameHeaderBytes = 9

// frameType is the type of a frame (RFC 9113, 6).
type frameType uint8

const (
	frameData frameType = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation
)

// Flags; ACK and END_STREAM share a bit.
const (
	flagAck        = 0x1
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Code is an error code of RST_STREAM and GOAWAY (RFC 9113, 7).
type Code uint32

// The codes that are sent.
const (
	CodeNone            Code = 0x0
	CodeProtocol        Code = 0x1
	CodeInternal        Code = 0x2
	CodeFlowControl     Code = 0x3
	CodeStreamClosed    Code = 0x5
	CodeFrameSize       Code = 0x6
	CodeRefusedStream   Code = 0x7
	CodeCancel          Code = 0x8
	CodeCompression     Code = 0x9
	CodeEnhanceYourCalm Code = 0xb
)

// Settings' parameters (RFC 9113, 6.5.2).
const (
	settingHeaderTableBytes = 0x1
	settingEnablePush       = 0x2
	settingMaxStreams       = 0x3
	settingInitialWindow    = 0x4
	settingMaxFrameBytes    = 0x5
)

const (
	settingBytes = 6
	// defaultWindow and defaultFrameBytes apply until the peer changes them.
	defaultWindow     = 65535
	defaultFrameBytes = 16384
	maxFrameBytes     = 1<<24 - 1 // of the format
	maxWindow         = 1<<31 - 1
)

// frameHead is the head of a frame.
type frameHead struct {
	length int
	kind   frameType
	flags  uint8
	stream uint32
}

func (h frameHead) has(flag uint8) bool { return h.flags&flag != 0 }

func readFrameHead(b []byte) frameHead {
	return frameHead{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   frameType(b[3]), flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow,
	}
}

func appendFrameHead(dst []byte, length int, kind frameType, flags uint8, stream uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), byte(kind), flags)
	return binary.BigEndian.AppendUint32(dst, stream)
}

func appendSetting(dst []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(dst, id), value)
}

func appendReset(dst []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(dst, 4, frameReset, 0, stream), uint32(code))
}

func appendWindowUpdate(dst []byte, stream uint32, by int64) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(dst, 4, frameWindowUpdate, 0, stream), uint32(by))
}

func appendGoAway(dst []byte, last uint32, code Code) []byte {
	dst = appendFrameHead(dst, 8, frameGoAway, 0, 0)
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, last), uint32(code))
}
