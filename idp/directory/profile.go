package directory

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatehouse/store"
)

// maxRanges bounds the address ranges of a profile.
const maxRanges = 1000

func profileKeys() []key[Profile] {
	return []key[Profile]{
		{"ip_ranges", "", profileRanges, setProfileRanges},
		{"login_hours", "", func(p *Profile) string { return p.LoginHours.String() }, func(p *Profile, value string) (err error) {
			p.LoginHours, err = ParseHours(value)
			return err
		}},
		duration("session_timeout", "", time.Minute, 366*day, func(p *Profile) *time.Duration { return &p.SessionTimeout }),
		duration("session.idle", "", time.Minute, 366*day, func(p *Profile) *time.Duration { return &p.SessionIdle }),
		duration("session.max", "", time.Minute, 366*day, func(p *Profile) *time.Duration { return &p.SessionMax }),
	}
}

// Limits returns every key of a profile with its value.
func (p *Profile) Limits() []Setting { return list(p, profileKeys()) }

// SetLimit changes one key of a profile; the value `default` undoes. Refusals are *InputError.
func (p *Profile) SetLimit(name, value string) error {
	if done, err := set(p, profileKeys(), name, value); done {
		return err
	}
	return refuse("A profile has no %.60q: it has name, ip_ranges, login_hours, session_timeout, session.idle and session.max", name)
}

func profileRanges(p *Profile) string {
	texts := make([]string, len(p.IPRanges))
	for i, r := range p.IPRanges {
		texts[i] = r.String()
	}
	return strings.Join(texts, ",")
}

// setProfileRanges reads addresses and CIDR ranges, separated by commas.
func setProfileRanges(p *Profile, value string) error {
	var ranges []netip.Prefix
	for text := range strings.SplitSeq(value, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		r, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil && address.Zone() == "" {
			r, err = address.Unmap().Prefix(address.Unmap().BitLen())
		}
		if err != nil || r.Addr().Is4In6() {
			return refuse("%.60q is not an address range: write it like 192.0.2.0/24, 2001:db8::/32 or 192.0.2.7", text)
		}
		if r = r.Masked(); !slices.Contains(ranges, r) {
			ranges = append(ranges, r)
		}
	}
	if len(ranges) > maxRanges {
		return refuse("These are more than %d ranges: join some", maxRanges)
	}
	p.IPRanges = ranges
	return nil
}

// IdleLimit is after how long without use a session of a person ends: as their profile says, else the organisation.
func (p *Profile) IdleLimit(s *Settings) time.Duration { return or(p.SessionIdle, s.IdleLimit()) }

// SessionLimit is after how long a session of a person ends in any case: as their profile says, else the organisation.
func (p *Profile) SessionLimit(s *Settings) time.Duration { return or(p.SessionMax, s.SessionLimit()) }

// standardProfile is the name of the profile of people for whom nobody chose one.
const standardProfile = "Standard"

// StandardProfile is the profile of people for whom nobody chose one: the one named Standard, the only one, or the first, which
// is made here.
func StandardProfile(tx store.Tx) (string, error) {
	profile, err := AllProfiles.Resolve(tx, standardProfile)
	if err == nil || !errors.Is(err, store.ErrNotFound) {
		return profile.ID, err
	}
	few, _, err := AllProfiles.List(tx, "", 2)
	switch {
	case err != nil:
		return "", err
	case len(few) == 1:
		return few[0].ID, nil
	case len(few) > 1:
		return "", refuse("Choose a profile for the person: there are several and none is called %s", standardProfile)
	}
	profile, err = AllProfiles.Add(tx, Profile{Name: standardProfile})
	return profile.ID, err
}
