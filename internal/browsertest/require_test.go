package browsertest_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// missing ends a test for something that the machine lacks: as skipped, or as
// failed where it must be there.
func missing(t testing.TB, name, why string) {
	t.Helper()
	required := strings.Split(os.Getenv("APE_REQUIRE"), ",")
	if os.Getenv("CI") != "" || slices.Contains(required, "all") || slices.Contains(required, name) {
		t.Fatalf("%s is required and missing: %s", name, why)
	}
	t.Skipf("%s is missing: %s", name, why)
}
