package metadata

import (
	"bytes"
	"crypto"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// FuzzStream holds the two readers of streams to their promises for any bytes: no panic, a typed refusal with a reason. What
// Entities makes of a document with one service provider is what Parse makes of it, and nothing passes Verify with a key of
// which the fuzzer knows only a handful of signatures but what says the same as one of the documents that were signed.
func FuzzStream(f *testing.F) {
	text, err := os.ReadFile("../../testdata/signed/certificate.pem")
	if err != nil {
		f.Fatal(err)
	}
	pinned, err := PinnedKeys(text)
	if err != nil {
		f.Fatal(err)
	}
	key, err := pinned[0].Public()
	if err != nil {
		f.Fatal(err)
	}
	signedEntities := map[string]bool{}
	for _, pattern := range []string{"../../testdata/signed/*.xml", "../../testdata/metadata/*.xml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) < 5 {
			f.Fatal(files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
			if Verify(bytes.NewReader(data), []crypto.PublicKey{key}) == nil {
				for _, r := range entitiesOf(f, data) {
					signedEntities[r.Metadata.EntityID+r.Metadata.ACS[len(r.Metadata.ACS)-1].Location] = true
				}
			}
		}
	}
	f.Add([]byte(groupOfTwo))
	f.Fuzz(func(t *testing.T, data []byte) {
		verified := Verify(bytes.NewReader(data), []crypto.PublicKey{key})
		mustBeTyped(t, verified)
		results := entitiesOf(t, data)
		for _, r := range results {
			if verified == nil && !signedEntities[r.Metadata.EntityID+r.Metadata.ACS[len(r.Metadata.ACS)-1].Location] {
				t.Errorf("verified, and was never signed: %+v", r.Metadata)
			}
		}
		if parsed, err := Parse(data, Options{Now: now}); err == nil && len(results) == 1 {
			one := results[0]
			parsed.Metadata.ValidUntil, one.Metadata.ValidUntil = time.Time{}, time.Time{} // of the root, which Entities leaves out
			if !reflect.DeepEqual(parsed.Metadata, one.Metadata) {
				t.Errorf("read as\n%+v\nand as\n%+v", parsed.Metadata, one.Metadata)
			}
		}
	})
}

func mustBeTyped(t testing.TB, err error) {
	t.Helper()
	var refused *Error
	if err != nil && (!errors.As(err, &refused) || refused.Reason == "") {
		t.Fatalf("not a refusal: %v", err)
	}
}

// entitiesOf are the service providers of a document; none when it is refused.
func entitiesOf(t testing.TB, data []byte) []Result {
	t.Helper()
	var results []Result
	_, err := Entities(bytes.NewReader(data), Options{Now: now}, func(r Result) error {
		results = append(results, r)
		return nil
	})
	mustBeTyped(t, err)
	if err != nil {
		return nil
	}
	return results
}
