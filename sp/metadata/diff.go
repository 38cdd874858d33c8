package metadata

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/sp"
)

// Change is one difference between two versions of an app's metadata. Of a list each item that came or went is a change
// of its own, with an empty Before or After.
type Change struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Diff lists what replacing one by the other would change, in a fixed order; nil when nothing that matters differs.
func Diff(before, after sp.Metadata) []Change {
	var d changes
	d.value("entity_id", before.EntityID, after.EntityID)
	d.value("valid_until", instantText(before.ValidUntil), instantText(after.ValidUntil))
	d.list("acs", endpoints(before.ACS), endpoints(after.ACS))
	d.list("slo", endpoints(before.SLO), endpoints(after.SLO))
	d.list("manage_name_id", endpoints(before.ManageNameID), endpoints(after.ManageNameID))
	d.list("key", keyTexts(before.Keys), keyTexts(after.Keys))
	d.list("nameid_format", before.NameIDFormats, after.NameIDFormats)
	d.list("attribute", requested(before), requested(after))
	d.list("attribute_set", sets(before), sets(after))
	d.list("entity_attribute", tagTexts(before.EntityAttributes), tagTexts(after.EntityAttributes))
	d.value("authn_requests_signed", strconv.FormatBool(before.AuthnRequestsSigned), strconv.FormatBool(after.AuthnRequestsSigned))
	d.value("want_assertions_signed", strconv.FormatBool(before.WantAssertionsSigned), strconv.FormatBool(after.WantAssertionsSigned))
	d.list("digest_method", before.DigestMethods, after.DigestMethods)
	d.list("signing_method", before.SigningMethods, after.SigningMethods)
	d.value("display_name", before.DisplayName, after.DisplayName)
	d.list("name_in", localizedTexts(before.Names), localizedTexts(after.Names))
	d.value("description", before.Description, after.Description)
	d.value("information_url", before.InformationURL, after.InformationURL)
	d.list("information_url_in", localizedTexts(before.InformationURLs), localizedTexts(after.InformationURLs))
	d.value("privacy_url", before.PrivacyURL, after.PrivacyURL)
	d.list("privacy_url_in", localizedTexts(before.PrivacyURLs), localizedTexts(after.PrivacyURLs))
	d.value("logo_url", before.LogoURL, after.LogoURL)
	d.value("contact", before.Contact, after.Contact)
	d.value("source_url", before.SourceURL, after.SourceURL)
	d.value("source", before.Source, after.Source)
	return d
}

// ProviderDiff is Diff for identity providers.
func ProviderDiff(before, after Provider) []Change {
	var d changes
	d.value("valid_until", instantText(before.ValidUntil), instantText(after.ValidUntil))
	d.list("sso", endpoints(before.SSO), endpoints(after.SSO))
	d.list("slo", endpoints(before.SLO), endpoints(after.SLO))
	d.list("key", keyTexts(before.Keys), keyTexts(after.Keys))
	d.value("display_name", before.DisplayName, after.DisplayName)
	return d
}

type changes []Change

func (d *changes) value(field, before, after string) {
	if before != after {
		*d = append(*d, Change{field, before, after})
	}
}

// list tells what came and went; where nothing did, whether the order is another: the first of several often counts.
func (d *changes) list(field string, before, after []string) {
	known, was, is := len(*d), setOf(before), setOf(after) // there may be thousands
	for _, s := range before {
		if !is[s] {
			*d = append(*d, Change{Field: field, Before: s})
		}
	}
	for _, s := range after {
		if !was[s] {
			*d = append(*d, Change{Field: field, After: s})
		}
	}
	if len(*d) == known && !slices.Equal(before, after) {
		*d = append(*d, Change{field + "_order", strings.Join(before, "; "), strings.Join(after, "; ")})
	}
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[s] = true
	}
	return set
}

func endpoints(list []sp.Endpoint) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		text := e.Location + " by " + strings.TrimPrefix(e.Binding, "urn:oasis:names:tc:SAML:2.0:bindings:")
		if e.ResponseLocation != "" {
			text += ", responses to " + e.ResponseLocation
		}
		if e.Index != nil {
			text += ", index " + strconv.Itoa(*e.Index)
		}
		if e.IsDefault != nil {
			text += ", default " + strconv.FormatBool(*e.IsDefault)
		}
		texts[i] = text
	}
	return texts
}

func keyTexts(keys []sp.Key) []string {
	texts := make([]string, len(keys))
	for i := range keys {
		texts[i] = fmt.Sprintf("%s, SHA-256 %s", useWord(keys[i].Use), keys[i].Fingerprint())
		for _, m := range keys[i].EncryptionMethods {
			texts[i] += strings.TrimRight(fmt.Sprintf(", %s %s %s", m.Algorithm, m.Digest, m.MGF), " ")
		}
	}
	return texts
}

func requested(m sp.Metadata) []string {
	var texts []string
	for _, s := range m.AttributeServices {
		for _, a := range s.Requested {
			text := fmt.Sprintf("%s in set %d", a.Name, s.Index)
			if a.NameFormat != "" {
				text += ", format " + a.NameFormat
			}
			if a.FriendlyName != "" {
				text += ", called " + a.FriendlyName
			}
			if a.Required {
				text += ", required"
			}
			if len(a.Values) > 0 {
				text += fmt.Sprintf(", values %q", a.Values)
			}
			texts = append(texts, text)
		}
	}
	return texts
}

func sets(m sp.Metadata) []string {
	texts := make([]string, len(m.AttributeServices))
	for i, s := range m.AttributeServices {
		if texts[i] = strconv.Itoa(s.Index) + " " + s.Name; s.IsDefault != nil {
			texts[i] += ", default " + strconv.FormatBool(*s.IsDefault)
		}
	}
	return texts
}

func instantText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func tagTexts(tags []sp.EntityAttribute) []string {
	var list []string
	for _, tag := range tags {
		for _, value := range tag.Values {
			list = append(list, tag.Name+" = "+value)
		}
	}
	slices.Sort(list) // their order means nothing
	return list
}

func localizedTexts(values []sp.Localized) []string {
	var list []string
	for _, one := range values {
		list = append(list, one.Lang+": "+one.Text)
	}
	return list
}
