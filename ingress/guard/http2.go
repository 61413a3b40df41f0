package guard

import (
	"net/http"
	"time"
)

// Bounds of one HTTP/2 connection. What a stream has sent and nobody has read yet
// is at most streamWindow, so that fifty uploads hold less than 7 MiB, however
// large they are; what a connection holds is at most connWindow. At 100 ms round
// trip a window of 128 KiB lets 25 MiB through in 20 s.
const (
	maxStreams   = 64
	maxFrame     = 16 << 10
	connWindow   = 512 << 10
	streamWindow = 128 << 10
	headerTable  = 4 << 10
	pingAfter    = 30 * time.Second
	pingTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
)

// HTTP2 bounds what one HTTP/2 connection can take of the process: for
// http.Server.HTTP2. The number of header bytes is the server's MaxHeaderBytes.
func HTTP2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          maxStreams,
		MaxDecoderHeaderTableSize:     headerTable,
		MaxEncoderHeaderTableSize:     headerTable,
		MaxReadFrameSize:              maxFrame,
		MaxReceiveBufferPerConnection: connWindow,
		MaxReceiveBufferPerStream:     streamWindow,
		SendPingTimeout:               pingAfter,
		PingTimeout:                   pingTimeout,
		WriteByteTimeout:              writeTimeout,
	}
}
