package guard

import (
	"net/http"
	"time"
)

// Bounds of one HTTP/2 connection, in bytes but for maxStreams. Data that was received
// and not read yet is at most streamWindow per stream and connWindow per connection:
// fifty uploads hold less than 7 MiB, however large they are. With a round trip of
// 100 ms a window of 128 KiB transfers 25 MiB in 20 s.
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

// HTTP2 returns the configuration for http.Server.HTTP2. It bounds the streams and the
// memory of one connection; header bytes are bounded by the server's MaxHeaderBytes.
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
