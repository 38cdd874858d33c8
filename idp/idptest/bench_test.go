package idptest

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
)

// The benchmarks run the real binary in a process of its own and print one line a figure. `make bench` runs them; with GATEHOUSE_PROFILE=DIR
// sign-ons and tokens leave profiles there.

const benchTime = 6 * time.Second

// BenchmarkServerSignOn measures answers per second for a signed-in person, and the CPU fraction: the processor time of one
// raw RSA-2048 signature divided by the server's processor time per answer (performance.md).
func BenchmarkServerSignOn(b *testing.B) {
	for _, sign := range []string{"assertion", "both"} {
		b.Run("sign="+sign, func(b *testing.B) {
			private := Profiled(b)
			p, load := signOnBench(b, sign, private)
			for _, connections := range []int{1, 8, 64} {
				b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
					defer Profile(b, private, b.Name(), 6)()
					measureSignOn(b, p, load, connections)
				})
			}
			b.Logf("memory (RssAnon) after the load: %.1f MiB", float64(p.Memory(b))/(1<<20))
		})
	}
}

func signOnBench(b *testing.B, sign, private string) (*Process, *Load) {
	p := StartBinary(b, b.TempDir(), "--private-listen", private)
	b.Logf("start to the ready line with a new store and key: %v; idle memory (RssAnon): %.1f MiB", p.Start, float64(p.Memory(b))/(1<<20))
	p.AddPerson(b, "ana", "Employees")
	sp := NewSP(b, "bench")
	p.AddApp(b, sp.Metadata(), map[string]string{"saml.sign": sign})
	load := &Load{Server: &p.Server, SP: sp, Cookie: p.SignedIn(b, "ana").SessionCookie()}
	load.Run(4, time.Second) // warm up, and the app joins the session
	return p, load
}

// measureSignOn loads the server in slices and signs raw in between, so that both feel the same machine: a shared one is now
// faster, now slower.
func measureSignOn(b *testing.B, p *Process, load *Load, connections int) {
	const slices = 12
	for b.Loop() {
		var raw, cpu time.Duration
		var result Result
		for range slices {
			raw += RawRSA(b, 60) / slices
			before := p.CPU(b)
			part := load.Run(connections, benchTime/slices)
			cpu += p.CPU(b) - before
			if len(part.Errors) > 0 || part.Answers == 0 {
				b.Fatalf("%d answers, errors: %v", part.Answers, part.Errors)
			}
			result.add(part)
		}
		perAnswer := cpu / time.Duration(result.Answers)
		fraction := float64(raw) / float64(perAnswer)
		b.ReportMetric(fraction, "cpu-fraction")
		b.ReportMetric(float64(result.Answers)/result.Took.Seconds(), "answers/s")
		b.ReportMetric(float64(perAnswer.Microseconds()), "cpu-us/answer")
		b.ReportMetric(float64(raw.Microseconds()), "raw-rsa-us")
		b.ReportMetric(float64(result.Percentile(0.5).Microseconds()), "p50-us")
		b.ReportMetric(float64(result.Percentile(0.99).Microseconds()), "p99-us")
	}
}

// BenchmarkServerStart measures an existing store and key up to the ready line, and the idle memory then.
func BenchmarkServerStart(b *testing.B) {
	dir := b.TempDir()
	StartBinary(b, dir).Kill()
	for b.Loop() {
		p := StartBinary(b, dir)
		b.ReportMetric(float64(p.Start.Microseconds())/1000, "start-ms")
		b.ReportMetric(float64(p.Memory(b))/(1<<20), "idle-MiB")
		p.Kill()
	}
}

// BenchmarkServerPassword measures password sign-ins per second against the raw argon2id rate on as many threads as the
// server hashes on at once.
func BenchmarkServerPassword(b *testing.B) {
	p := StartBinary(b, b.TempDir())
	p.AddPerson(b, "ana", "Employees")
	for b.Loop() {
		raw := rawArgon2()
		before := p.CPU(b)
		signIns, took := passwordLoops(b, p, 2, benchTime)
		cpu := p.CPU(b) - before
		b.ReportMetric(float64(signIns)/took.Seconds(), "sign-ins/s")
		b.ReportMetric(1/raw.Seconds(), "raw-argon2id/s/core")
		b.ReportMetric(raw.Seconds()*float64(signIns)/cpu.Seconds(), "hash-share-of-cpu")
	}
}

// rawArgon2 is the time of one argon2id hash with the product's cost on an otherwise idle core.
func rawArgon2() time.Duration {
	const n = 40
	began := time.Now()
	for range n {
		argon2.IDKey([]byte(Password), []byte("sixteen byte salt"), 2, 19*1024, 1, 32)
	}
	return time.Since(began) / n
}

// passwordLoops signs in again and again, each time as a new browser.
func passwordLoops(b *testing.B, p *Process, loops int, d time.Duration) (int64, time.Duration) {
	var n atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for range loops {
		wg.Go(func() {
			for time.Since(began) < d {
				c := p.NewClient(b)
				form := c.Get("/login")
				page := c.Post("/login", url.Values{"flow": {form.Field("flow")}, "name": {"ana"}, "password": {Password}})
				if page.URL.Path != "/" || strings.Contains(page.Body, "SAMLResponse") {
					b.Errorf("sign-in rests at %s (%d)", page.URL, page.Status)
					return
				}
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load(), time.Since(began)
}
