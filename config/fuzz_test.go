package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/handover-controller/handover/config"
)

// FuzzLoad holds that Load never panics, that its errors say something, and
// that what it accepts is inside the bounds and prints as what loads as the
// same again.
func FuzzLoad(f *testing.F) {
	for _, seed := range []struct{ file, environ string }{
		{"", ""},
		{everyKey, strings.Join(everyVariable(), "\x00")},
		{everyKey, "SHUTDOWN_PORT=1\x00HANDOVER_PROCESS_PRE_STOP=[\"a\"]\x00HANDOVER_SETTLE=1s\x00=\x00x"},
		{"service: &s\n  app_id: *s\n  <<: [*s, *s]\n", "HANDOVER_READINESS_COMMAND=[ -f x ]"},
		{"a: &a {<<: *a}\n---\nb\n", "HANDOVER_CONFIG=x"},
		{"policy: {drain_delay: 1e9h, settle: -0, drain_reserve: 1h}\n", "HANDOVER_PROCESS_PREFLIGHT=a\nb\u2028\ufeff\x7f"},
		{"process: {pre_stop: [\"\\x85\\0\", 'b'], stop_signal: SIGRTMIN+30}\n", "BALENA_SERVICE_NAME=~"},
		{"readiness: {http: 'http://[::1%25e]:1/x?y#z', after: auto}\nstatus: {listen: ':0'}\n", "NETWORK_INTERFACE=null"},
		{"? {a: b}\n: !!binary |\n  aGVsbG8=\n", "HANDOVER_ANNOUNCE_SECRET=x"},
		{"log:\n\tlevel: info\n", ""},
		{"%YAML 1.1\n---\nlog: {level: !!str info, format: \"te\\\n  xt\"}\n...\n", ""},
	} {
		f.Add(seed.file, seed.environ)
	}
	f.Fuzz(func(t *testing.T, file, environ string) {
		variables := strings.Split(environ, "\x00")
		first, err := config.Load(config.Options{Path: "f", Environ: variables, Open: files(map[string]string{"f": file})})
		if err != nil {
			checkError(t, err)
			return
		}
		c := first.Config
		if c.Policy.DrainDelay+c.Policy.DrainReserve+config.DrainMargin >= c.Service.StopGracePeriod ||
			c.Announce.ExpireAfter < 3*c.Announce.Interval || c.Network.Port < 1 || c.Network.Port > 65535 {
			t.Fatalf("out of bounds: %+v", c)
		}
		var out strings.Builder
		if err := first.Print(&out); err != nil {
			t.Fatal(err)
		}
		if len(c.Announce.Secrets) > 0 || c.Supervisor.APIKey != "" {
			return // they are masked, and masks are refused
		}
		second, err := load(out.String())
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if !reflect.DeepEqual(first.Config, second.Config) {
			t.Fatalf("%+v\n%+v\n%s", first.Config, second.Config, out.String())
		}
	})
}

func checkError(t *testing.T, err error) {
	t.Helper()
	var all *config.Error
	if !errors.As(err, &all) || len(all.Problems) == 0 {
		t.Fatalf("%T: %v", err, err)
	}
	for _, p := range all.Problems {
		if p.Message == "" || strings.ContainsRune(p.Error(), '\x00') {
			t.Fatalf("%#v", p)
		}
	}
}
