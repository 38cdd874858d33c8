package certs_test

import (
	"slices"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/store"
)

// One RSA and one EC key are active side by side; activating a key concerns only those of its own algorithm.
func TestOneActiveKeyPerAlgorithm(t *testing.T) {
	s := open(t)
	k := &certs.Keyring{Seal: sealer(t, 1), Now: time.Now}
	if err := k.Ensure(t.Context(), s, "idp.example.com"); err != nil {
		t.Fatal(err)
	}
	stage := func(algorithm certs.Algorithm) (id string) {
		material, err := certs.Generate(algorithm, "idp.example.com", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		update(t, s, func(tx store.Tx) error {
			entry, err := k.Stage(tx, material)
			id = entry.ID
			return err
		})
		return id
	}
	states := func(activate string) (list []certs.State) {
		update(t, s, func(tx store.Tx) error {
			if activate != "" {
				if _, err := k.Activate(tx, activate); err != nil {
					return err
				}
			}
			entries, err := k.List(tx)
			list = nil
			for _, e := range entries {
				list = append(list, e.State)
			}
			return err
		})
		return list
	}
	ec, rsa, ec2 := stage(certs.ECDSA), stage(certs.RSA), stage(certs.ECDSA)
	for _, c := range []struct {
		activate string
		want     []certs.State // first RSA key, ec, rsa, ec2
	}{
		{"", []certs.State{certs.Active, certs.Next, certs.Next, certs.Next}},
		{ec, []certs.State{certs.Active, certs.Active, certs.Next, certs.Next}},
		{rsa, []certs.State{certs.Retiring, certs.Active, certs.Active, certs.Next}},
		{ec2, []certs.State{certs.Retiring, certs.Retiring, certs.Active, certs.Active}},
	} {
		if got := states(c.activate); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.activate, got, c.want)
		}
	}
}

func TestParseAlgorithm(t *testing.T) {
	for name, want := range map[string]certs.Algorithm{"": certs.RSA, "rsa": certs.RSA, "ecdsa": certs.ECDSA, "rsa-2048": certs.RSA, "ecdsa-p256": certs.ECDSA, "dsa": "", "RSA": ""} {
		if got, err := certs.ParseAlgorithm(name); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", name, got, err)
		}
	}
}
