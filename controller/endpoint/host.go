package endpoint

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// Names returns the names that are this instance's: localhost, that of this
// machine, that of status.listen, and the service's. The device's public URL is
// one if its UUID is given.
func Names(listen, service, deviceUUID string) []string {
	names := []string{"localhost"}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		short, _, _ := strings.Cut(name, ".")
		names = append(names, name, short, short+".local")
	}
	if service != "" {
		names = append(names, service)
	}
	if deviceUUID != "" {
		names = append(names, deviceUUID+".balena-devices.com")
	}
	for i := range names {
		names[i] = strings.ToLower(names[i])
	}
	return names
}

// byName answers only requests that name this instance: by an address, by one of
// the names, or by a name without a dot, as containers have among each other.
// Anything else may be a page somewhere on the internet whose name was made to
// point here (DNS rebinding): a browser would show it what is answered. A request
// without a name is not a browser's.
func byName(names []string, next http.Handler) http.Handler {
	if names == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isOurs(names, r.Host) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.Error(w, "this instance has another name than the one that was asked for: ask by an IP address, "+
				"by a name without a dot, or by one of: "+strings.Join(names, ", ")+
				". A name in status.listen is one, too", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isOurs(names []string, asked string) bool {
	host := asked
	if h, _, err := net.SplitHostPort(asked); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") && !strings.ContainsAny(host, "[]:") {
		return true // also none at all
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	for _, name := range names {
		if host == strings.TrimSuffix(name, ".") {
			return true
		}
	}
	return strings.HasSuffix(host, ".localhost") // never resolved by a name server (RFC 6761)
}
