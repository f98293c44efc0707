// Command compare measures what ape costs beside coder/websocket used plainly,
// and beside a frame loop without any library that is a floor for both:
//
//	go run ./internal/compare
//
// Each server runs in a process of its own, pinned to one CPU where taskset is
// found, and is loaded over loopback by this process, on all others. Compared
// are calls with one and with 16 in flight on each of 100 connections, and
// deliveries of broadcasts, eight in a row, to 1,000 connections. All three
// decode and encode the same JSON structs and speak the same lines. Calls that
// leave together ride in one message to ape, as its clients send them, and in a
// message each to the others, which cannot take several; -joined=false sends
// ape a message each, too.
//
// The figures are the server's CPU time (getrusage, user and system) and
// allocations for each operation, as medians over alternating runs, and each
// median as a ratio to coder/websocket's. Only ratios of one run mean anything:
// the absolute figures differ by machine and by the hour. Last comes the heap
// and stack of an idle connection, of 5,000.
package main
