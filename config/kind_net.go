package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// group is an IPv4 multicast address.
func group() kind {
	return kind{
		allowed: "an IPv4 multicast address, 224.0.0.0 to 239.255.255.255",
		show:    func(v any) string { return fmt.Sprint(v) },
		parse: func(s string) (any, *fault) {
			a, err := netip.ParseAddr(s)
			switch {
			case err != nil:
				return nil, faultf("is not an IP address")
			case !a.Is4():
				return nil, faultf("is not an IPv4 address")
			case !a.IsMulticast():
				return nil, faultf("is not a multicast address")
			}
			return a, nil
		},
	}
}

// networkInterface is a name that Linux accepts for an interface.
func networkInterface() kind {
	const longest = 15 // IFNAMSIZ - 1
	return kind{
		allowed: fmt.Sprintf("an interface's name, 1 to %d bytes without space and slash", longest),
		show:    showText,
		parse: func(s string) (any, *fault) {
			if f := oneLine(s); f != nil {
				return nil, f
			}
			if len(s) > longest || s == "." || s == ".." || strings.ContainsAny(s, "/ ") {
				return nil, faultf("cannot be the name of an interface")
			}
			return s, nil
		},
	}
}

// anyHost stands for all host names.
const anyHost = "*"

// hostNames is one host name or a list of them.
func hostNames() kind {
	parseList := func(texts []string) (any, *fault) {
		if len(texts) == 0 {
			return nil, faultf("is an empty list").suggest("leave the key out for none")
		}
		for _, s := range texts {
			if f := oneLine(s); f != nil {
				return nil, f
			}
			if s != anyHost && (s == "" || strings.ContainsAny(s, " /:*[]")) {
				return nil, faultf("is no host name").suggest("without scheme, port and path: device.example.com")
			}
		}
		return texts, nil
	}
	k := oneOrMore(parseList)
	k.allowed, k.zero = "a host name or a list of them, such as device.example.com; * is any", []string(nil)
	k.show = func(v any) string {
		names, _ := v.([]string)
		return showOneOrMore(names)
	}
	return k
}

// hostPort is host:port, with ports from lowest. The host may be empty.
func hostPort(lowest int) kind {
	return kind{
		allowed: fmt.Sprintf("host:port, such as 127.0.0.1:8080, with a port from %d to 65535", lowest),
		zero:    "",
		show:    showText,
		parse: func(s string) (any, *fault) {
			host, port, err := net.SplitHostPort(s)
			if err != nil {
				return nil, faultf("is not host:port").suggest("an IPv6 address goes in brackets: [::1]:8080")
			}
			if f := checkHost(host); f != nil {
				return nil, f
			}
			if f := checkPort(port, lowest); f != nil {
				return nil, f
			}
			return s, nil
		},
	}
}

// checkHost refuses what can be neither an address nor a name. Docker's names
// of services may have underscores.
func checkHost(host string) *fault {
	if _, err := netip.ParseAddr(host); err == nil {
		return oneLine(host)
	}
	for _, r := range host {
		if (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("-._", r) {
			return faultf("has a host that is neither a name nor an address")
		}
	}
	return nil
}

func checkPort(port string, lowest int) *fault {
	n, err := strconv.Atoi(port)
	if err != nil || strconv.Itoa(n) != port {
		return faultf("has a port that is not a number")
	}
	if n < lowest || n > 65535 {
		return faultf("has a port that is out of range")
	}
	return nil
}

// httpURL is an http or https URL. It cannot carry a password, because it is
// shown.
func httpURL() kind {
	return kind{
		allowed: "a URL that begins with http:// or https://, without user and password",
		zero:    "",
		show:    showText,
		mask:    maskURL,
		parse: func(s string) (any, *fault) {
			if _, f := checkURL(s); f != nil {
				return nil, f
			}
			return s, nil
		},
	}
}

// address is the base of an API's URLs.
func address() kind {
	return kind{
		allowed: "a URL such as http://127.0.0.1:48484, without user, path, query and fragment",
		zero:    "",
		show:    showText,
		mask:    maskURL,
		parse: func(s string) (any, *fault) {
			u, f := checkURL(s)
			if f != nil {
				return nil, f
			}
			if strings.ContainsAny(s, "?#") || u.RawQuery != "" || u.Fragment != "" {
				return nil, faultf("has a query or a fragment")
			}
			if strings.Trim(u.EscapedPath(), "/") != "" {
				return nil, faultf("has a path").suggest("write %s://%s", u.Scheme, u.Host)
			}
			return s, nil
		},
	}
}

// checkURL does not pass on the errors of net/url: they repeat the URL.
func checkURL(s string) (*url.URL, *fault) {
	if f := oneLine(s); f != nil {
		return nil, f
	}
	u, err := url.Parse(s)
	if err != nil {
		return nil, faultf("is not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, faultf("is not an http or https URL").suggest("begin it with http:// or https://")
	}
	if u.User != nil {
		return nil, faultf("has a user or a password in it").suggest("take it out: this value is shown")
	}
	if u.Hostname() == "" {
		return nil, faultf("has no host")
	}
	if f := checkHost(u.Hostname()); f != nil {
		return nil, f
	}
	if port := u.Port(); port != "" {
		if f := checkPort(port, 1); f != nil {
			return nil, f
		}
	}
	return u, nil
}

// containerID is a container's id, short or long, in lower case.
func containerID() kind {
	return kind{
		allowed: "12 to 64 hexadecimal digits",
		zero:    "",
		show:    showText,
		parse: func(s string) (any, *fault) {
			if strings.Trim(s, "0123456789abcdefABCDEF") != "" {
				return nil, faultf("has other characters than hexadecimal digits")
			}
			if len(s) < 12 || len(s) > 64 {
				return nil, faultf("has %d digits", len(s))
			}
			return strings.ToLower(s), nil
		},
	}
}
