package simulator

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"strconv"
	"strings"
)

// answer is one answer of the API.
type answer struct {
	status int
	kind   string // the content type
	body   []byte
}

func text(status int, body string) answer {
	return answer{status, "text/plain; charset=utf-8", []byte(body)}
}

func page(status int, body string) answer {
	return answer{status, "text/html; charset=utf-8", []byte(body)}
}

func object(status int, body any) answer {
	if plain, ok := body.(string); ok {
		return text(status, plain)
	}
	return answer{status, "application/json; charset=utf-8", encode(body)}
}

// success is a body with one value, in the order of the real ones.
func success(name, value string) answer {
	return answer{http.StatusOK, "application/json; charset=utf-8", fmt.Appendf(nil, `{"status":"success",%q:%q}`, name, value)}
}

func failed(status int, message string) answer { return object(status, failure{"failed", message}) }

type failure struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// ServeHTTP answers as the Supervisor's API does.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, whole, ok := s.respond(r)
	if !ok {
		panic(http.ErrAbortHandler) // no answer at all
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	if !whole {
		_, _ = w.Write(a.body[:len(a.body)/2])
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(a.body)
}

// respond answers a request; not ok: the connection ends without an answer. A
// body that is not whole ends in its middle.
func (s *Simulator) respond(r *http.Request) (a answer, whole, ok bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	path := r.URL.Path
	f := s.fault(path)
	if f == nil {
		a = s.answer(ctx, r)
		return a, true, ctx.Err() == nil && !s.refused()
	}
	switch f.Kind {
	case FaultStatus:
		if s.sleep(ctx, s.pick(s.o.Version.times.before)) {
			a = text(f.Status, http.StatusText(f.Status))
		}
	case FaultStall:
		<-ctx.Done()
	case FaultRefuse:
		return answer{}, false, false
	case FaultStale:
		s.mu.Lock()
		old, known := s.stale[path]
		s.mu.Unlock()
		if a = s.answer(ctx, r); known && a.status == http.StatusOK {
			a = old
		}
	case FaultHalf:
		return s.answer(ctx, r), false, ctx.Err() == nil
	}
	return a, true, ctx.Err() == nil
}

// answer answers well.
func (s *Simulator) answer(ctx context.Context, r *http.Request) answer {
	switch path := r.URL.Path; {
	case path == "/ping":
		return page(http.StatusOK, "OK")
	case path == "/v1/healthy":
		return text(http.StatusOK, "OK")
	case !s.allowed(r):
		return text(http.StatusUnauthorized, "Unauthorized")
	case r.Method != http.MethodGet:
		return notFound(r)
	case path == "/v2/device/name":
		return success("deviceName", deviceName)
	case path == "/v2/version":
		return success("version", s.o.Version.number)
	default:
		return s.looked(ctx, r, path)
	}
}

// looked answers what needs a look at the engine's containers: it waits while
// the engine is busy with one.
func (s *Simulator) looked(ctx context.Context, r *http.Request, path string) answer {
	t := &s.o.Version.times
	s.sleep(ctx, s.pick(t.before))
	_ = s.Wait(ctx, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.containers {
			if c.busy > 0 {
				return false
			}
		}
		return true
	})
	s.sleep(ctx, s.pick(t.after))

	s.mu.Lock()
	defer s.mu.Unlock()
	if build, ok := s.plainAnswers()[path]; ok {
		return object(http.StatusOK, build())
	}
	own := fmt.Sprint(s.o.AppID)
	switch parts := strings.Split(strings.Trim(path, "/"), "/"); {
	case path == "/v2/containerId":
		return s.containerID(r.URL.Query().Get("serviceName"))
	case len(parts) == 4 && parts[0] == "v2" && parts[1] == "applications" && parts[3] == "state":
		if _, err := strconv.Atoi(parts[2]); err != nil {
			return failed(http.StatusBadRequest, "Invalid application ID: "+parts[2])
		}
		return failed(http.StatusConflict, "Application ID does not exist: "+parts[2])
	case len(parts) == 3 && parts[0] == "v1" && parts[1] == "apps" && parts[2] == own:
		return object(s.appBody())
	case len(parts) == 3 && parts[0] == "v1" && parts[1] == "apps":
		return failed(http.StatusUnauthorized, "Application is not available")
	}
	return notFound(r)
}

// plainAnswers are the answers that depend on nothing but the path.
func (s *Simulator) plainAnswers() map[string]func() any {
	return map[string]func() any{
		"/v2/state/status":                                  s.viewBody,
		"/v2/applications/state":                            s.targetBody,
		fmt.Sprintf("/v2/applications/%d/state", s.o.AppID): s.releasesBody,
	}
}

func notFound(r *http.Request) answer {
	return page(http.StatusNotFound, fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
		"<title>Error</title>\n</head>\n<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n", r.Method, html.EscapeString(r.URL.Path)))
}

// allowed checks the key: in ?apikey=, or after Bearer or ApiKey.
func (s *Simulator) allowed(r *http.Request) bool {
	s.mu.Lock()
	key := s.key
	s.mu.Unlock()
	given := r.URL.Query().Get("apikey")
	if given == "" {
		scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "ApiKey") {
			given = text
		}
	}
	return given != "" && (given == key || given == s.o.GlobalKey)
}
