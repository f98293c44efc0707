//go:build race

package transport_test

// race: the detector's own memory and allocations are not what is measured.
const race = true
