package supervisor_test

import (
	"testing"

	"github.com/handover-controller/handover/supervisor"
)

// BenchmarkDecodeView reads the largest recorded answer: three containers.
func BenchmarkDecodeView(b *testing.B) {
	var body []byte
	for _, r := range readRecording("14.13.9/three-instances.jsonl") {
		if r.Get == "/v2/state/status" && len(r.Body) > len(body) {
			body = r.Body
		}
	}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if v, err := supervisor.DecodeView(body); err != nil || len(v.Containers) != 3 {
			b.Fatal(v, err)
		}
	}
}
