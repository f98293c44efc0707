//go:build !race

package transport_test

const race = false
