package browsertest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

const (
	stockVersion = "4.1.1"
	// stockIntegrity is the package's integrity as the registry gives it.
	stockIntegrity = "sha512-ZvBYTBHAd7lyncZYrIksaBvslkJieQyAm2+9LbFO73ztfjN2Bvgn6A3OuYFdVKdI3UugySPpiNdB1UoJO4l8sw=="
)

// stockBundle is the browser bundle of npm's api-ape, byte by byte as it was
// published. npm fetches it once into the user's cache directory.
func stockBundle(t *testing.T) []byte {
	t.Helper()
	bundle, err := fetchStock()
	if err != nil {
		missing(t, "npm", err.Error())
	}
	return bundle
}

var fetchStock = sync.OnceValues(func() ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "goape", "browsertest")
	name := filepath.Join(dir, "api-ape-"+stockVersion+".tgz")
	pack, err := os.ReadFile(name)
	if err != nil || !intact(pack) {
		if pack, err = npmPack(dir, name); err != nil {
			return nil, err
		}
	}
	return fileOf(pack, "package/dist/ape.js")
})

// npmPack fetches the package's archive and keeps it at name.
func npmPack(dir, name string) ([]byte, error) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(dir, "pack")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	cmd := exec.Command(npm, "pack", "--silent", "--pack-destination", temp, "api-ape@"+stockVersion)
	cmd.Dir = temp
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w\n%s", err, out)
	}
	packed := filepath.Join(temp, "api-ape-"+stockVersion+".tgz")
	pack, err := os.ReadFile(packed)
	if err != nil {
		return nil, err
	}
	if !intact(pack) {
		return nil, errors.New("what npm has packed is not the published api-ape")
	}
	return pack, os.Rename(packed, name)
}

func intact(pack []byte) bool {
	sum := sha512.Sum512(pack)
	return "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) == stockIntegrity
}

func fileOf(pack []byte, name string) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(pack))
	if err != nil {
		return nil, err
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if h.Name == name {
			return io.ReadAll(r)
		}
	}
}
