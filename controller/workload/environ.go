package workload

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// environ returns the environment that this process was started with, byte for
// byte, as long as nothing has changed it since. os.Environ leaves out
// repeated names and empty entries, which a program may well have been given.
func environ() []string {
	current := os.Environ()
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(block) == 0 {
		return current
	}
	var original []string
	for entry := range bytes.SplitSeq(bytes.TrimSuffix(block, []byte{0}), []byte{0}) {
		original = append(original, string(entry))
	}
	if !slices.Equal(withoutRepeats(original), current) {
		return current
	}
	return original
}

// withoutRepeats does what package syscall does to its copy: of entries with
// the same name the first one stays. An entry's name may begin with "=", and
// an entry without "=" has none.
func withoutRepeats(env []string) []string {
	seen := map[string]bool{}
	kept := make([]string, 0, len(env))
	for _, entry := range env {
		if name, _, ok := strings.Cut(entry, "="); ok {
			if seen[name] {
				continue
			}
			seen[name] = true
		}
		if entry != "" {
			kept = append(kept, entry)
		}
	}
	return kept
}

// withNotifySocket returns the environment with NOTIFY_SOCKET set to the
// address, instead of one that this process was given for itself.
func withNotifySocket(env []string, address string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(entry string) bool {
		return strings.HasPrefix(entry, "NOTIFY_SOCKET=")
	})
	return append(env, "NOTIFY_SOCKET="+address)
}
