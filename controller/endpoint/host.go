package endpoint

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Names returns the names that are this instance's: localhost, that of this
// machine, that of status.listen, the service's, and more that are configured. The
// device's public URL and its name in the local network are two if its UUID is
// given. Nil: any name is, because one of the configured ones is "*".
func Names(listen, service, deviceUUID string, more []string) []string {
	if slices.Contains(more, "*") {
		return nil
	}
	names := append([]string{"localhost"}, more...)
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil && name != "" {
		short, _, _ := strings.Cut(name, ".")
		names = append(names, name, short+".local")
	}
	if service != "" {
		names = append(names, service)
	}
	if deviceUUID != "" {
		names = append(names, deviceUUID+".balena-devices.com", deviceUUID[:min(7, len(deviceUUID))]+".local")
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
// without a name is not a browser's. Whether the instance is ready or healthy may be
// known to anybody: load balancers ask with all kinds of names.
func byName(names []string, next http.Handler) http.Handler {
	if names == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" && r.URL.Path != "/healthz" && !isOurs(names, r.Host) {
			w.Header().Set("X-Content-Type-Options", "nosniff")
			http.Error(w, "this instance has another name than the one that was asked for: ask by an IP address, "+
				"by a name without a dot, or by one of: "+strings.Join(names, ", ")+
				". status.names allows more", http.StatusMisdirectedRequest)
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
