package config

import "strings"

// nearest is the name that is most like the given one, or empty if none is
// near. With a separator, a name is also like another one if their parts
// after the first separator are: drain_delay is like policy.drain_delay.
func nearest(name string, known []string, separator string) string {
	const longest = 64 // beyond it, nobody meant a key
	if len(name) > longest {
		return ""
	}
	best, bestCost := "", len(fold(name))/3+1
	for _, k := range known {
		cost := distance(fold(name), fold(k))
		if _, leaf, ok := strings.Cut(k, separator); ok && separator != "" && cost > 0 {
			cost = min(cost, leafCost(name, leaf, separator))
		}
		if cost < bestCost || cost == bestCost && best == "" {
			best, bestCost = k, cost
		}
	}
	return best
}

// leafCost compares the part of a name after the first separator with that of
// a known one; the given name may also be such a part alone.
func leafCost(name, knownLeaf, separator string) int {
	const other = 1 // the section is another one, or missing
	leaf := name
	if _, after, ok := strings.Cut(name, separator); ok {
		leaf = after
	}
	cost := min(distance(fold(leaf), fold(knownLeaf)), distance(fold(name), fold(knownLeaf)))
	if cost > len(fold(leaf))/3 {
		cost = len(name) // too short to be alike by so few letters
	}
	const beginning = 4 // bytes that are enough to recognise a name by
	if len(fold(leaf)) >= beginning && strings.HasPrefix(fold(knownLeaf), fold(leaf)) {
		cost = min(cost, 1)
	}
	return cost + other
}

// fold takes away what people get wrong without being wrong: case, hyphens,
// underscores.
func fold(s string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "").Replace(strings.ToLower(s))
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours that make b out of a (optimal string alignment), in bytes.
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(last[j]+1, row[j-1]+1, replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
