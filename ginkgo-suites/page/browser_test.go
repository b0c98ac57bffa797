package page_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// browser is a session of WebDriver (https://www.w3.org/TR/webdriver2/) with
// chromium, which is started for it and ended with it.
type browser struct{ session string }

// browserOptions say how a browser differs from a usual one.
type browserOptions struct {
	withoutScripts bool
	width, height  int
}

func newBrowser(o browserOptions) *browser {
	GinkgoHelper()
	if testing.Short() {
		Skip("-short: without the browser")
	}
	chrome, driver := found("chromium", "chromium-browser"), found("chromedriver")
	if chrome == "" || driver == "" {
		Skip("chromium and chromedriver are not both installed (Debian: chromium, chromium-driver)")
	}
	dir, err := os.MkdirTemp("", "handover-browser")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, dir)

	cmd := exec.Command(driver, "--port=0")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	Expect(err).NotTo(HaveOccurred())
	Expect(cmd.Start()).To(Succeed())
	DeferCleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		endThoseOf(dir)
		_ = cmd.Wait()
	})
	port := make(chan string, 1)
	go func() {
		started := regexp.MustCompile(`successfully on port (\d+)`)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if m := started.FindStringSubmatch(lines.Text()); m != nil {
				port <- m[1]
			}
		}
	}()
	var at string
	Eventually(port, patience).Should(Receive(&at))

	if o.width == 0 {
		o.width, o.height = 1200, 900
	}
	options := map[string]any{
		"binary": chrome,
		"args": []string{
			"--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
			"--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server",
			"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", // nothing leaves this machine
			"--user-data-dir=" + filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,%d", o.width, o.height),
		},
		"perfLoggingPrefs": map[string]any{"enableNetwork": true, "enablePage": false},
	}
	if o.withoutScripts {
		options["prefs"] = map[string]any{"profile.managed_default_content_settings.javascript": 2}
	}
	b := &browser{session: "http://127.0.0.1:" + at + "/session"}
	var made struct {
		SessionID string `json:"sessionId"`
	}
	b.do(http.MethodPost, "", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{
		"goog:chromeOptions": options,
		"goog:loggingPrefs":  map[string]any{"browser": "ALL", "performance": "ALL"},
	}}}, &made)
	b.session += "/" + made.SessionID
	DeferCleanup(func() { _ = b.try(http.MethodDelete, "", nil, nil) })
	b.emulate(o.width, o.height, "light")
	return b
}

func found(names ...string) string {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// endThoseOf ends the processes that have this folder in their command line:
// chromium's, which do not stay in the driver's group. It waits until they write
// no more.
func endThoseOf(dir string) {
	kill := func() (found int) {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range all {
			if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte(dir)) {
				if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
					found++
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		return found
	}
	Eventually(kill, patience).Should(BeZero())
}

// try sends a command and reads its value.
func (b *browser) try(method, path string, body, into any) error {
	var reader io.Reader
	if method == http.MethodPost {
		if body == nil {
			body = map[string]any{}
		}
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, b.session+path, reader)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Timeout: 2 * time.Minute}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	var value struct {
		Value json.RawMessage `json:"value"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&value); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, path, value.Value)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(value.Value, into)
}

func (b *browser) do(method, path string, body, into any) {
	GinkgoHelper()
	Expect(b.try(method, path, body, into)).To(Succeed())
}

func (b *browser) open(address string) {
	GinkgoHelper()
	b.do(http.MethodPost, "/url", map[string]any{"url": "http://" + address + "/"}, nil)
}

// run runs a function's body in the page and reads what it returns.
func (b *browser) run(script string, into any) {
	GinkgoHelper()
	b.do(http.MethodPost, "/execute/sync", map[string]any{"script": script, "args": []any{}}, into)
}

// text is the value of an expression.
func (b *browser) text(expression string) string {
	var s string
	if err := b.try(http.MethodPost, "/execute/sync", map[string]any{"script": "return String(" + expression + ")", "args": []any{}}, &s); err != nil {
		return err.Error()
	}
	return s
}

// tools sends a command of the DevTools protocol.
func (b *browser) tools(command string, params map[string]any, into any) {
	GinkgoHelper()
	b.do(http.MethodPost, "/goog/cdp/execute", map[string]any{"cmd": command, "params": params}, into)
}

// emulate sets the size of the page and the colour scheme.
func (b *browser) emulate(width, height int, scheme string) {
	GinkgoHelper()
	b.tools("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.tools("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// press presses and releases a key.
func (b *browser) press(key string) {
	GinkgoHelper()
	b.do(http.MethodPost, "/actions", map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": []any{
		map[string]any{"type": "keyDown", "value": key}, map[string]any{"type": "keyUp", "value": key},
	}}}}, nil)
}

// entry is a line of one of the browser's logs.
type entry struct {
	Level   string `json:"level"`
	Message string `json:"message"`
}

// logged returns what is new in a log.
func (b *browser) logged(kind string) []entry {
	GinkgoHelper()
	var all []entry
	b.do(http.MethodPost, "/se/log", map[string]any{"type": kind}, &all)
	return all
}

// requested returns the URLs of all requests so far.
func (b *browser) requested() []string {
	GinkgoHelper()
	var urls []string
	for _, e := range b.logged("performance") {
		var m struct {
			Message struct {
				Method string `json:"method"`
				Params struct {
					Request struct {
						URL string `json:"url"`
					} `json:"request"`
				} `json:"params"`
			} `json:"message"`
		}
		if json.Unmarshal([]byte(e.Message), &m) == nil && m.Message.Method == "Network.requestWillBeSent" {
			urls = append(urls, m.Message.Params.Request.URL)
		}
	}
	return urls
}

// picture writes a picture of the whole page to the folder PAGE_SCREENSHOTS, if
// that is set.
func (b *browser) picture(name string) {
	GinkgoHelper()
	dir := os.Getenv("PAGE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var size struct{ Width, Height float64 }
	b.run("return {Width: innerWidth, Height: document.documentElement.scrollHeight}", &size)
	var shot struct {
		Data string `json:"data"`
	}
	b.tools("Page.captureScreenshot", map[string]any{
		"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": size.Width, "height": size.Height, "scale": 1},
	}, &shot)
	data, err := base64.StdEncoding.DecodeString(shot.Data)
	Expect(err).NotTo(HaveOccurred())
	Expect(os.MkdirAll(dir, 0o755)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".png"), data, 0o600)).To(Succeed())
}
