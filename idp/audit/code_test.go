package audit

import (
	"strings"
	"testing"
)

// TestCodes: every number has one code that leads back to it, codes of neighbours do not look alike, and they depend on key
// and node.
func TestCodes(t *testing.T) {
	log, other := &Log{Key: []byte("one key")}, &Log{Key: []byte("another key")}
	seen := map[string]uint64{}
	alike := 0
	for seq := uint64(1); seq < 50_000; seq++ {
		code := log.code("n", seq)
		if before, taken := seen[code]; taken {
			t.Fatalf("%d and %d have the code %s", before, seq, code)
		}
		seen[code] = seq
		number, ok := parseCode(code)
		if !ok || log.numberOf("n", number) != seq || NormaliseCode(strings.ToLower(code)) != code {
			t.Fatalf("%s of %d leads to %d", code, seq, log.numberOf("n", number))
		}
		if code[:4] == log.code("n", seq+1)[:4] {
			alike++
		}
		if code == other.code("n", seq) || code == log.code("m", seq) {
			alike++
		}
	}
	if alike > 2 {
		t.Errorf("%d codes can be foretold", alike)
	}
	for _, far := range []uint64{1<<codeBits - 1, 1 << (codeBits - 1)} {
		if number, ok := parseCode(log.code("n", far)); !ok || log.numberOf("n", number) != far {
			t.Errorf("the code of %d does not lead back", far)
		}
	}
}
