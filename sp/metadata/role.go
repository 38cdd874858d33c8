package metadata

import (
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"gatehouse/sp"
)

// maxWarnings keeps a document from flooding the page; nobody reads more.
const maxWarnings = 100

// maxURI bounds identifiers of bindings, formats and algorithms, in bytes.
const maxURI = 1024

// reader collects what an entity and its role say.
type reader struct {
	opts     Options
	outer    time.Time // the end of the groups around the entity, where the tree does not hold them
	cache    time.Duration
	out      sp.Metadata
	warnings []Warning
}

func (r *reader) warn(severity Severity, code, format string, args ...any) {
	if len(r.warnings) >= maxWarnings {
		return
	}
	r.warnings = append(r.warnings, Warning{Code: code, Text: fmt.Sprintf(format, args...), Severity: severity})
}

// signature notes a signature around the service provider.
func (r *reader) signature(root, entity *node) {
	if root.one(nsDSig, "Signature") != nil || entity.one(nsDSig, "Signature") != nil {
		r.warn(Info, "signature_not_verified", "The metadata is signed, but the signature was not verified: make sure that it comes from the app.")
	}
}

func (r *reader) read(root, entity, role *node) error {
	r.out.EntityID, _ = entity.find(xml.Name{Local: "entityID"})
	if reason := entityIDProblem(r.out.EntityID, r.opts.OwnEntityID); reason != "" {
		return entity.fail("%s", reason)
	}
	if roles := len(entity.all(nsMetadata, "SPSSODescriptor")); roles > 1 {
		r.warn(Info, "several_roles", "The entity has %d service provider roles; the first one for SAML 2.0 is used.", roles)
	}
	for _, step := range []func() error{
		func() error { return r.validity(root, role) },
		func() error { return r.cacheDuration(root, entity, role) },
		func() error { return r.flags(role) },
		func() error { return r.consumers(role) },
		func() error { return r.logout(role) },
		func() error { return r.keys(role) },
		func() error { return r.nameIDFormats(role) },
		func() error { return r.attributeServices(role) },
		func() error { return r.userInterface(role) },
		func() error { return r.contact(entity, role) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	r.algorithms(entity, role)
	r.tags(entity)
	return nil
}

// cacheDuration keeps the shortest of those that are given.
func (r *reader) cacheDuration(nodes ...*node) error {
	for _, n := range nodes {
		d, err := n.duration("cacheDuration")
		if err != nil {
			return err
		}
		if d > 0 && (r.cache == 0 || d < r.cache) {
			r.cache = d
		}
	}
	return nil
}

func (r *reader) flags(role *node) error {
	signed, err := role.boolean("AuthnRequestsSigned")
	if err != nil {
		return err
	}
	want, err := role.boolean("WantAssertionsSigned")
	r.out.AuthnRequestsSigned = signed != nil && *signed
	r.out.WantAssertionsSigned = want != nil && *want
	return err
}

// boolean reads an xs:boolean; nil: absent.
func (n *node) boolean(attr string) (*bool, error) {
	if !n.has(attr) {
		return nil, nil
	}
	switch value := n.attr(attr); value {
	case "true", "1":
		return new(true), nil
	case "false", "0":
		return new(false), nil
	default:
		return nil, n.fail("%s=%q must be true or false; correct it", attr, short(value))
	}
}

// number reads an xs:unsignedShort; nil: absent.
func (n *node) number(attr string) (*int, error) {
	if !n.has(attr) {
		return nil, nil
	}
	value, err := strconv.ParseUint(n.attr(attr), 10, 16)
	if err != nil {
		return nil, n.fail("%s=%q must be a number from 0 to 65535; correct it", attr, short(n.attr(attr)))
	}
	return new(int(value)), nil
}

// consumers reads every assertion consumer service. One bad address refuses the document: it would be an invitation to
// send assertions to strangers.
func (r *reader) consumers(role *node) error {
	for _, n := range role.all(nsMetadata, "AssertionConsumerService") {
		e, err := r.endpoint(n)
		if err != nil {
			return err
		}
		if e.Index, err = n.number("index"); err != nil {
			return err
		}
		if e.IsDefault, err = n.boolean("isDefault"); err != nil {
			return err
		}
		r.out.ACS = append(r.out.ACS, e)
	}
	if len(r.out.ACS) == 0 {
		return role.fail("there is no AssertionConsumerService, so no answer could be delivered; ask for complete metadata")
	}
	if _, ok := r.out.DefaultACS(sp.BindingPOST); !ok {
		return role.fail("no AssertionConsumerService takes answers by HTTP-POST (%s); switch it on in the app", sp.BindingPOST)
	}
	return nil
}

// endpoint reads an address and checks it.
func (r *reader) endpoint(n *node) (sp.Endpoint, error) {
	e := sp.Endpoint{Binding: n.attr("Binding"), Location: n.attr("Location"), ResponseLocation: n.attr("ResponseLocation")}
	if e.Binding == "" || len(e.Binding) > maxURI {
		return e, n.fail("%s needs a Binding; ask for complete metadata", n.name.Local)
	}
	if err := r.location(n, e.Location); err != nil {
		return e, err
	}
	if e.ResponseLocation == "" {
		return e, nil
	}
	return e, r.location(n, e.ResponseLocation)
}

func (r *reader) location(n *node, location string) error {
	err := sp.CheckLocation(location, r.opts.AllowHTTP)
	if err != nil {
		return n.fail("the address %q of %s %v; correct it in the app", short(location), n.name.Local, err)
	}
	return nil
}

// logout reads the single logout services. One over plain http is left out rather than refused: sign-on works without.
func (r *reader) logout(role *node) error {
	for _, n := range role.all(nsMetadata, "SingleLogoutService") {
		if r.plainHTTP(n.attr("Location")) || r.plainHTTP(n.attr("ResponseLocation")) {
			r.warn(Caution, "slo_ignored", "The logout address %s is not https and is left out; correct it in the app.", short(n.attr("Location")))
			continue
		}
		e, err := r.endpoint(n)
		if err != nil {
			return err
		}
		r.out.SLO = append(r.out.SLO, e)
	}
	return r.nameServices(role)
}

// nameServices reads where the app takes messages about names, as logout reads its services.
func (r *reader) nameServices(role *node) error {
	for _, n := range role.all(nsMetadata, "ManageNameIDService") {
		if r.plainHTTP(n.attr("Location")) || r.plainHTTP(n.attr("ResponseLocation")) {
			r.warn(Caution, "manage_name_id_ignored", "The address %s for changes of names is not https and is left out; correct it in the app.", short(n.attr("Location")))
			continue
		}
		e, err := r.endpoint(n)
		if err != nil {
			return err
		}
		r.out.ManageNameID = append(r.out.ManageNameID, e)
	}
	return nil
}

func (r *reader) plainHTTP(location string) bool {
	return errors.Is(sp.CheckLocation(location, r.opts.AllowHTTP), sp.ErrPlainHTTP)
}

func (r *reader) nameIDFormats(role *node) error {
	for _, n := range role.all(nsMetadata, "NameIDFormat") {
		format, err := n.value()
		if err != nil {
			return err
		}
		if format == "" || len(format) > maxURI {
			return n.fail("NameIDFormat is empty or longer than 1,024 bytes; correct it")
		}
		if !slices.Contains(r.out.NameIDFormats, format) {
			r.out.NameIDFormats = append(r.out.NameIDFormats, format)
		}
	}
	return nil
}

// algorithms reads the declared signing and digest methods: those of the role, else of the entity (sstc-saml-metadata-
// algsupport-v1.0, 2.3).
func (r *reader) algorithms(entity, role *node) {
	read := func(local string) []string {
		for _, holder := range []*node{role, entity} {
			if list := algorithmsOf(holder.one(nsMetadata, "Extensions").all(nsAlgSup, local)); len(list) > 0 {
				return list
			}
		}
		return nil
	}
	r.out.SigningMethods, r.out.DigestMethods = read("SigningMethod"), read("DigestMethod")
}

func algorithmsOf(nodes []*node) []string {
	var list []string
	for _, n := range nodes {
		if uri := n.attr("Algorithm"); uri != "" && len(uri) <= maxURI && !slices.Contains(list, uri) {
			list = append(list, uri)
		}
	}
	return list
}

// validity keeps the end of the metadata, or refuses what has ended.
func (r *reader) validity(root, role *node) error {
	end, err := validUntil(root, role)
	end = earlier(end, r.outer)
	switch {
	case err != nil:
		return err
	case end.IsZero() || end.Add(skew).After(r.opts.Now):
		r.out.ValidUntil = end
	case !r.opts.AllowExpired:
		return root.fail("the metadata expired on %s; download it again from the app, or allow expired metadata", date(end))
	default:
		r.warn(Caution, "metadata_expired", "The metadata expired on %s and was accepted all the same.", date(end))
	}
	return nil
}
