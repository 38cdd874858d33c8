package metadata

import (
	"encoding/xml"
	"slices"
)

// Affiliation is a group of service providers that may know people by the same names (saml-metadata-2.0-os, 2.5).
type Affiliation struct {
	ID      string // entity id of the group, the SPNameQualifier of its names
	Owner   string // entity id of who answers for it
	Members []string
}

// maxMembers bounds a group.
const maxMembers = 1000

// ParseAffiliation reads the metadata of exactly one affiliation. Every error is an *Error.
func ParseAffiliation(data []byte, opts Options) (Affiliation, error) {
	root, err := parseTree(data)
	if err != nil {
		return Affiliation{}, err
	}
	group := root.one(nsMetadata, "AffiliationDescriptor")
	if !root.is(nsMetadata, "EntityDescriptor") || group == nil {
		return Affiliation{}, root.fail("this is no metadata of an affiliation: it has no AffiliationDescriptor; ask the affiliation's owner for its metadata")
	}
	id, _ := root.find(xml.Name{Local: "entityID"})
	if reason := entityIDProblem(id, opts.OwnEntityID); reason != "" {
		return Affiliation{}, root.fail("%s", reason)
	}
	if err := (&reader{opts: opts}).validity(root, group); err != nil {
		return Affiliation{}, err
	}
	read := Affiliation{ID: id, Owner: group.attr("affiliationOwnerID")}
	for _, member := range group.all(nsMetadata, "AffiliateMember") {
		name, err := member.value()
		switch {
		case err != nil:
			return Affiliation{}, err
		case entityIDProblem(name, opts.OwnEntityID) != "":
			return Affiliation{}, member.fail("the member %q is no entity id of an app; correct it", short(name))
		case len(read.Members) == maxMembers:
			return Affiliation{}, group.fail("there are more than %d members", maxMembers)
		case !slices.Contains(read.Members, name):
			read.Members = append(read.Members, name)
		}
	}
	if len(read.Members) == 0 || read.Owner == "" {
		return Affiliation{}, group.fail("the affiliation needs affiliationOwnerID and at least one AffiliateMember; ask its owner for complete metadata")
	}
	return read, nil
}
