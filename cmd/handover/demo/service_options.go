package demo

import (
	"fmt"
	"net/netip"
	"time"
)

// serviceOptions is what the environment says.
type serviceOptions struct {
	name       string
	address    netip.AddrPort
	readyAfter time.Duration
	never      bool
	crashAfter time.Duration // 0: it does not crash
}

func readServiceOptions(getenv func(string) string) (serviceOptions, error) {
	o := serviceOptions{name: getenv(VariableName)}
	if o.name == "" {
		o.name = "A"
	}
	if !plainName(o.name) {
		return o, refused(VariableName, o.name, "1 to 20 letters, digits, '-', '_' or '.'")
	}
	var err error
	o.address, err = netip.ParseAddrPort(getenv(VariableAddress))
	if err != nil || !o.address.Addr().IsLoopback() {
		return o, refused(VariableAddress, getenv(VariableAddress), "a loopback address and a port, such as 127.0.0.1:8080")
	}
	switch text := getenv(VariableReadyAfter); text {
	case "":
	case Never:
		o.never = true
	default:
		o.readyAfter, err = time.ParseDuration(text)
		if err != nil || o.readyAfter < 0 {
			return o, refused(VariableReadyAfter, text, "a duration, such as 1.5s, or "+Never)
		}
	}
	if text := getenv(VariableCrashAfter); text != "" {
		o.crashAfter, err = time.ParseDuration(text)
		if err != nil || o.crashAfter <= 0 {
			return o, refused(VariableCrashAfter, text, "a duration above 0s, such as 1.5s, or nothing")
		}
	}
	return o, nil
}

func refused(variable, value, allowed string) error {
	return fmt.Errorf("%s is %q, allowed is %s", variable, value, allowed)
}

// plainName reports whether the name fits into a header, a table and a picture.
func plainName(name string) bool {
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return name != "" && len(name) <= 20
}
