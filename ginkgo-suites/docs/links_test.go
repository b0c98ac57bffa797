package docs_test

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// checkLinks is what is wrong with the links of a page. Pages are all pages, by
// path, for the anchors in them.
func checkLinks(p *page, all map[string]*page) faults {
	var f faults
	for _, l := range p.links {
		f = append(f, checkLink(p, l.target, all).at(p.path, l.line)...)
	}
	return f
}

func checkLink(p *page, target string, all map[string]*page) faults {
	var f faults
	u, err := url.Parse(target)
	switch {
	case err != nil:
		f.add("link %s: %v", target, err)
		return f
	case u.Scheme == "https" && u.Host != "":
		return nil // another's page; nothing is opened here
	case u.Scheme != "" || u.Host != "":
		f.add("link %s: neither a path nor an https address", target)
		return f
	case strings.HasPrefix(u.Path, "/"):
		f.add("link %s: not relative to the page", target)
		return f
	}
	to := p.path
	if u.Path != "" {
		to = path.Join(path.Dir(p.path), u.Path)
		if strings.HasPrefix(to, "..") {
			f.add("link %s: leads out of the repository", target)
			return f
		}
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
			f.add("link %s: there is no %s", target, to)
			return f
		}
	}
	if u.Fragment == "" {
		return f
	}
	if q := all[to]; q == nil {
		f.add("link %s: #%s in what is no page of text", target, u.Fragment)
	} else if !q.anchors[u.Fragment] {
		f.add("link %s: %s has no heading #%s", target, to, u.Fragment)
	}
	return f
}
