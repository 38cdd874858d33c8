package sp

import (
	"cmp"
	"slices"
)

// Entity attributes that Gatehouse acts on (sstc-metadata-attr, saml-subject-id-attr-v1.0, REFEDS).
const (
	EntityCategory  = "http://macedir.org/entity-category"
	SubjectIDNeeded = "urn:oasis:names:tc:SAML:profiles:subject-id:req"
)

// Sources of attributes that are made for the app and the organisation's scope, beside those of a person's record.
const (
	SourceSubjectID         = "subject-id"
	SourcePairwiseID        = "pairwise-id"
	SourcePrincipalName     = "eppn"
	SourceScopedAffiliation = "scoped-affiliation"
	SourceHomeOrganisation  = "home-organisation"
)

// EntityAttribute is a tag in an app's metadata, such as the entity categories that its federation gave it.
type EntityAttribute struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// Tag gives the values of an entity attribute, of all the elements that have its name.
func (m *Metadata) Tag(name string) []string {
	var values []string
	for i := range m.EntityAttributes {
		if m.EntityAttributes[i].Name == name {
			values = append(values, m.EntityAttributes[i].Values...)
		}
	}
	return values
}

// Values of saml.release: everything that is set, only what the metadata asks for, or only what it says it cannot do without.
const (
	ReleaseAll       = "all"
	ReleaseRequested = "requested"
	ReleaseRequired  = "required"
)

// Release is ReleaseAll, ReleaseRequested or ReleaseRequired.
func (s *SAML) Release() string { return cmp.Or(s.Settings.Release, ReleaseAll) }

// Values of saml.missing_attributes and saml.empty_values; the first of each is what holds while they are unset.
const (
	MissingRelease = "release"
	MissingRefuse  = "refuse"
	EmptyOmit      = "omit"
	EmptySend      = "send"
)

// Required are the attributes without which the app says that it cannot work: those of the attribute service with the given index,
// else of the default one, and the subject identifier that it signals.
func (m *Metadata) Required(service *int) []RequestedAttribute {
	var list []RequestedAttribute
	for i := range m.AttributeServices {
		one := &m.AttributeServices[i]
		standing := one.IsDefault != nil && *one.IsDefault || i == 0 && !slices.ContainsFunc(m.AttributeServices, func(s AttributeService) bool { return s.IsDefault != nil && *s.IsDefault })
		if service != nil && one.Index != *service || service == nil && !standing {
			continue
		}
		for _, requested := range one.Requested {
			if requested.Required {
				list = append(list, requested)
			}
		}
	}
	if needed, ok := m.identifier(); ok {
		list = append(list, RequestedAttribute{Name: needed.Name, NameFormat: needed.Format, Required: true})
	}
	return list
}

// identifier is the subject identifier that subject-id:req signals; any: the pairwise one.
func (m *Metadata) identifier() (Attribute, bool) {
	switch needed := m.Tag(SubjectIDNeeded); {
	case slices.Contains(needed, "subject-id"):
		return subjectID(), true
	case slices.Contains(needed, "pairwise-id"), slices.Contains(needed, "any"):
		return pairwiseID(), true
	}
	return Attribute{}, false
}

// subject identifiers and what federations call the rest.
func subjectID() Attribute {
	return Attribute{"urn:oasis:names:tc:SAML:attribute:subject-id", FormatURI, "subject-id", SourceSubjectID}
}

func pairwiseID() Attribute {
	return Attribute{"urn:oasis:names:tc:SAML:attribute:pairwise-id", FormatURI, "pairwise-id", SourcePairwiseID}
}

func scopedAffiliation() Attribute {
	return Attribute{"urn:oid:1.3.6.1.4.1.5923.1.1.1.9", FormatURI, "eduPersonScopedAffiliation", SourceScopedAffiliation}
}

func homeOrganisation() Attribute {
	return Attribute{"urn:oid:1.3.6.1.4.1.25178.1.2.9", FormatURI, "schacHomeOrganization", SourceHomeOrganisation}
}

// Bundles lists what entity categories release, by the category's URI.
func bundles() map[string][]Attribute {
	person := named("mail", "displayName", "givenName", "sn")
	return map[string][]Attribute{
		"http://refeds.org/category/research-and-scholarship": append([]Attribute{
			{"urn:oid:1.3.6.1.4.1.5923.1.1.1.6", FormatURI, "eduPersonPrincipalName", SourcePrincipalName}, scopedAffiliation(),
		}, person...),
		"https://refeds.org/category/anonymous":    {scopedAffiliation(), homeOrganisation()},
		"https://refeds.org/category/pseudonymous": {pairwiseID(), scopedAffiliation(), homeOrganisation()},
		"https://refeds.org/category/personalized": append([]Attribute{subjectID(), scopedAffiliation(), homeOrganisation()}, person...),
	}
}

// codesOfConduct are promises, not bundles: who makes one gets what its metadata says it cannot do without.
var codesOfConduct = []string{"http://www.geant.net/uri/dataprotection-code-of-conduct/v1", "https://refeds.org/category/code-of-conduct/v2"}

// named picks default attributes by friendly name.
func named(friendly ...string) []Attribute {
	return slices.DeleteFunc(defaultAttributes(), func(a Attribute) bool { return !slices.Contains(friendly, a.FriendlyName) })
}

// tagged is what the tags in the metadata release: the identifier that subject-id:req signals (any: the pairwise one), the bundles
// of the categories, and for a code of conduct the attributes of ours that the metadata requires.
func (s *SAML) tagged() []Attribute {
	var list []Attribute
	if needed, ok := s.Metadata.identifier(); ok {
		list = append(list, needed)
	}
	bundles := bundles()
	for _, category := range s.Metadata.Tag(EntityCategory) {
		list = append(list, bundles[category]...)
		if slices.Contains(codesOfConduct, category) {
			for _, a := range defaultAttributes() {
				if s.asks(&a, true) {
					list = append(list, a)
				}
			}
		}
	}
	if slices.Contains(s.Metadata.Tag(SubjectIDNeeded), "none") {
		list = slices.DeleteFunc(list, func(a Attribute) bool { return a.Source == SourceSubjectID || a.Source == SourcePairwiseID })
	}
	return list
}

// asks tells whether the app's metadata requests an attribute, in whichever of its services.
func (s *SAML) asks(a *Attribute, required bool) bool {
	for _, service := range s.Metadata.AttributeServices {
		for i := range service.Requested {
			if r := &service.Requested[i]; r.Asks(a) && (r.Required || !required) {
				return true
			}
		}
	}
	return false
}

// Asks tells whether the request is for this attribute: by name, and by format unless the request leaves that open (core 8.2.1).
func (r *RequestedAttribute) Asks(a *Attribute) bool {
	return r.Name == a.Name && (r.NameFormat == "" || r.NameFormat == a.Format || r.NameFormat == FormatUnspecified)
}
