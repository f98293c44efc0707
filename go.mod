module github.com/goape/ape

go 1.26.0

require (
	github.com/coder/websocket v1.8.15
	github.com/mssola/useragent v1.0.0
	github.com/rs/cors v1.11.1
	golang.org/x/time v0.16.0
)
