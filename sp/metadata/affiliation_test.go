package metadata

import (
	"slices"
	"strings"
	"testing"
)

func TestParseAffiliation(t *testing.T) {
	const good = `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://group.example.org"><AffiliationDescriptor affiliationOwnerID="https://owner.example.org" validUntil="2030-01-01T00:00:00Z">` +
		`<AffiliateMember>https://one.example.org</AffiliateMember><AffiliateMember> https://two.example.org </AffiliateMember><AffiliateMember>https://one.example.org</AffiliateMember></AffiliationDescriptor></EntityDescriptor>`
	read, err := ParseAffiliation([]byte(good), Options{Now: now})
	if err != nil || read.ID != "https://group.example.org" || read.Owner != "https://owner.example.org" || !slices.Equal(read.Members, []string{"https://one.example.org", "https://two.example.org"}) {
		t.Errorf("%+v %v", read, err)
	}
	for name, bad := range map[string]string{
		"expired":         strings.Replace(good, "2030", "2020", 1),
		"no owner":        strings.Replace(good, "affiliationOwnerID", "owner", 1),
		"no member":       strings.ReplaceAll(good, "AffiliateMember", "Member"),
		"a bad member":    strings.Replace(good, "https://one.example.org", "a b", 1),
		"no id":           strings.Replace(good, "entityID", "id", 1),
		"another role":    strings.ReplaceAll(good, "AffiliationDescriptor", "SPSSODescriptor"),
		"not metadata":    "<x/>",
		"a document type": "<!DOCTYPE x>" + good,
		"too many":        strings.Replace(good, "<AffiliateMember>", manyMembers()+"<AffiliateMember>", 1),
	} {
		if read, err := ParseAffiliation([]byte(bad), Options{Now: now}); err == nil {
			t.Errorf("%s: %+v", name, read)
		}
	}
}

func manyMembers() string {
	var b strings.Builder
	for i := range maxMembers + 1 {
		b.WriteString("<AffiliateMember>https://m" + strings.Repeat("x", i%40) + strings.Repeat("y", i/40) + ".example.org</AffiliateMember>")
	}
	return b.String()
}
