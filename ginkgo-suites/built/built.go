// Package built builds handover for the suites that run it.
package built

import (
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
)

// Package is the program's.
const Package = "github.com/handover-controller/handover/cmd/handover"

// Handover builds handover in that folder and returns its path: with the race
// detector if the suite has it. It calls DependOnSources.
func Handover(dir string) (string, error) {
	if err := DependOnSources(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "handover")
	arguments := []string{"build", "-o", path}
	if Race {
		arguments = append(arguments, "-race")
	}
	if out, err := exec.Command("go", append(arguments, Package)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("built: %w\n%s", err, out)
	}
	return path, nil
}

// DependOnSources looks at the folders of the module, so that the go command
// sees what a suite depends on and does not take the result of an earlier run
// for that of another program. The working directory is that of a suite.
func DependOnSources() error {
	return filepath.WalkDir(filepath.Join("..", ".."), func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}
