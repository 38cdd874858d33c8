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
	d.value("nameid_format_order", order(before, after), order(after, before))
	d.list("attribute", requested(before), requested(after))
	d.list("entity_attribute", tagTexts(before.EntityAttributes), tagTexts(after.EntityAttributes))
	d.value("authn_requests_signed", strconv.FormatBool(before.AuthnRequestsSigned), strconv.FormatBool(after.AuthnRequestsSigned))
	d.value("want_assertions_signed", strconv.FormatBool(before.WantAssertionsSigned), strconv.FormatBool(after.WantAssertionsSigned))
	d.list("digest_method", before.DigestMethods, after.DigestMethods)
	d.list("signing_method", before.SigningMethods, after.SigningMethods)
	d.value("display_name", before.DisplayName, after.DisplayName)
	d.value("description", before.Description, after.Description)
	d.value("information_url", before.InformationURL, after.InformationURL)
	d.value("logo_url", before.LogoURL, after.LogoURL)
	d.value("contact", before.Contact, after.Contact)
	d.value("source_url", before.SourceURL, after.SourceURL)
	d.value("source", before.Source, after.Source)
	return d
}

type changes []Change

func (d *changes) value(field, before, after string) {
	if before != after {
		*d = append(*d, Change{field, before, after})
	}
}

func (d *changes) list(field string, before, after []string) {
	for _, s := range before {
		if !slices.Contains(after, s) {
			*d = append(*d, Change{Field: field, Before: s})
		}
	}
	for _, s := range after {
		if !slices.Contains(before, s) {
			*d = append(*d, Change{Field: field, After: s})
		}
	}
}

func endpoints(list []sp.Endpoint) []string {
	texts := make([]string, len(list))
	for i, e := range list {
		text := e.Location + " by " + e.Binding[strings.LastIndexByte(e.Binding, ':')+1:]
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

// order is the order of the formats when both versions list the same ones: the first decides what is sent.
func order(m, other sp.Metadata) string {
	if !slices.Equal(slices.Sorted(slices.Values(m.NameIDFormats)), slices.Sorted(slices.Values(other.NameIDFormats))) {
		return ""
	}
	return strings.Join(m.NameIDFormats, ", ")
}

func requested(m sp.Metadata) []string {
	var texts []string
	for _, s := range m.AttributeServices {
		for _, a := range s.Requested {
			text := fmt.Sprintf("%s in set %d", a.Name, s.Index)
			if a.Required {
				text += ", required"
			}
			if len(a.Values) > 0 {
				text += ", values " + strings.Join(a.Values, ", ")
			}
			texts = append(texts, text)
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
	return list
}
