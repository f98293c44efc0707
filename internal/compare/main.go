package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
)

// kind is a workload.
type kind struct {
	name  string
	conns int
	ops   int
	run   func(*server, int) error
}

var kinds = []kind{
	{"calls x1", 100, 60_000, func(s *server, n int) error { return s.calls(n, 1) }},
	{"calls x16", 100, 300_000, func(s *server, n int) error { return s.calls(n, 16) }},
	{"broadcast x8", 1000, 400_000, func(s *server, n int) error { return s.broadcasts(n/1000, 8) }},
}

// figure is the cost of one operation.
type figure struct{ cpu, allocs float64 }

// joined is what clients of ape do.
var joined = flag.Bool("joined", true, "send calls that leave together to ape in one message, as its clients do")

func main() {
	runs := flag.Int("runs", 5, "alternating runs, whose median counts")
	only := flag.String("only", "", "measure this server alone: ape, coder or bare")
	pin := flag.Bool("pin", true, "pin the server to one CPU")
	idle := flag.Int("idle", 5000, "connections of the idle measurement; 0 leaves it out")
	scale := flag.Float64("scale", 1, "multiplies the number of operations")
	flag.Parse()
	log.SetFlags(0)
	if name := os.Getenv(serveVariable); name != "" {
		serve(name)
		return
	}
	results := map[string][][]figure{}
	rest := map[string][][2]float64{}
	for run := range *runs {
		for _, name := range names {
			if *only != "" && name != *only {
				continue
			}
			figures, err := measure(name, *pin, *scale)
			if err != nil {
				log.Fatalf("compare: %s: %v", name, err)
			}
			results[name] = append(results[name], figures)
			if *idle > 0 && run < 3 {
				bytes, err := measureIdle(name, *idle)
				if err != nil {
					log.Fatalf("compare: %s: %v", name, err)
				}
				rest[name] = append(rest[name], bytes)
			}
		}
		fmt.Fprintf(os.Stderr, "run %d of %d\n", run+1, *runs)
	}
	report(results, rest)
}

// measure runs every workload against a fresh server.
func measure(name string, pin bool, scale float64) ([]figure, error) {
	s, err := start(name, pin)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	var figures []figure
	for _, k := range kinds {
		ops := int(float64(k.ops) * scale)
		if err := s.connect(k.conns); err != nil {
			return nil, err
		}
		if err := k.run(s, ops/10); err != nil { // warm up
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		before, err := s.usage(true)
		if err != nil {
			return nil, err
		}
		if err := k.run(s, ops); err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		after, err := s.usage(false)
		if err != nil {
			return nil, err
		}
		s.disconnect()
		figures = append(figures, figure{
			cpu:    (after.CPU - before.CPU) * 1e6 / float64(ops),
			allocs: float64(after.Allocs-before.Allocs) / float64(ops),
		})
	}
	return figures, nil
}

// measureIdle returns bytes of heap and of stack for each idle connection.
func measureIdle(name string, conns int) (bytes [2]float64, err error) {
	s, err := start(name, false)
	if err != nil {
		return bytes, err
	}
	defer s.stop()
	before, err := s.usage(true)
	if err != nil {
		return bytes, err
	}
	if err := s.connect(conns); err != nil {
		return bytes, err
	}
	after, err := s.usage(true)
	if err != nil {
		return bytes, err
	}
	s.disconnect()
	n := float64(conns)
	return [2]float64{(float64(after.Heap) - float64(before.Heap)) / n, (float64(after.Stack) - float64(before.Stack)) / n}, nil
}

// report prints a table of medians and ratios.
func report(results map[string][][]figure, rest map[string][][2]float64) {
	fmt.Printf("CPU in microseconds for each operation (ratio to coder; allocations)\n%-8s", "")
	for _, k := range kinds {
		fmt.Printf("| %-28s", k.name)
	}
	fmt.Println("| idle: heap + stack")
	for _, name := range names {
		if results[name] == nil {
			continue
		}
		fmt.Printf("%-8s", name)
		for i := range kinds {
			cpu := median(results[name], func(f []figure) float64 { return f[i].cpu })
			allocs := median(results[name], func(f []figure) float64 { return f[i].allocs })
			ratio := "-"
			if results["coder"] != nil {
				ratio = fmt.Sprintf("%.2f", cpu/median(results["coder"], func(f []figure) float64 { return f[i].cpu }))
			}
			fmt.Printf("| %-28s", fmt.Sprintf("%7.2f (%s; %.2f)", cpu, ratio, allocs))
		}
		if rest[name] != nil {
			fmt.Printf("| %.1f + %.1f KB", median(rest[name], func(b [2]float64) float64 { return b[0] })/1000,
				median(rest[name], func(b [2]float64) float64 { return b[1] })/1000)
		}
		fmt.Println()
	}
	fmt.Println(strings.TrimSpace(`
calls: a call of a struct of two fields, answered by another; broadcast: one delivery.`))
}

func median[T any](all []T, of func(T) float64) float64 {
	v := make([]float64, len(all))
	for i, x := range all {
		v[i] = of(x)
	}
	slices.Sort(v)
	return v[len(v)/2]
}
