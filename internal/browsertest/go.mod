module github.com/goape/ape/internal/browsertest

go 1.26.0

replace github.com/goape/ape => ../..

require (
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/goape/ape v0.0.0-00010101000000-000000000000
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
	github.com/mssola/useragent v1.0.0 // indirect
	github.com/rs/cors v1.11.1 // indirect
	golang.org/x/time v0.16.0 // indirect
)
