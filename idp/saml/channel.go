package saml

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// nsChannel is the namespace of channel bindings (saml-channel-binding-ext-v1.0).
const nsChannel = "urn:oasis:names:tc:SAML:protocol:ext:channel-binding"

// ChannelBinding names the TLS channel between app and client, as one of the two saw it (RFC 5056).
type ChannelBinding struct {
	Type   string `json:"type"` // tls-server-end-point, …
	Octets []byte `json:"octets"`
}

func (b ChannelBinding) equal(other ChannelBinding) bool {
	return b.Type == other.Type && bytes.Equal(b.Octets, other.Octets)
}

// maxBindings bounds how many bindings are compared: there are three types in RFC 5929, and one in RFC 9266.
const maxBindings = 8

var errBinding = errors.New("a channel binding in it has no Type, is empty or is not base64, or there are too many")

// appendBinding reads the ChannelBindings element at a node and adds it to a list.
func appendBinding(list []ChannelBinding, t *tree, at int32) ([]ChannelBinding, error) {
	text, err := t.value(at)
	if err != nil {
		return list, err
	}
	octets, err := base64.StdEncoding.DecodeString(withoutSpace(text))
	kind := t.attrOr(at, "Type")
	if err != nil || len(octets) == 0 || len(octets) > maxTextLength || kind == "" || len(kind) > maxIDLength || len(list) >= maxBindings {
		return list, errBinding
	}
	return append(list, ChannelBinding{kind, octets}), nil
}

// readExtensions takes what is known of the extensions; the others are ignored (core 3.2.1).
func (r *AuthnRequest) readExtensions(t *tree, at int32) (err error) {
	for child := t.nodes[at].first; child >= 0 && err == nil; child = t.nodes[child].next {
		if t.is(child, nsChannel, "ChannelBindings") {
			r.bindings, err = appendBinding(r.bindings, t, child)
		}
	}
	return err
}

// checkChannel compares what the app says of its channel to the client with what the client says of it (saml-ecp-v2.0, 2.3.6.2):
// somebody between the two would give them different ones. Each binding that the app names must be the client's too, and only a
// signed request names any. A client that names one to no app that does is refused as well: it would be told nothing of its channel.
func (a *Accepted) checkChannel(m *Message) *Problem {
	named, seen := m.Request.bindings, m.client.bindings
	switch {
	case len(named) == 0 && len(seen) == 0:
		return nil
	case len(named) == 0:
		return differs("Your program named its connection to the app (channel bindings), and the app did not, so the two cannot be compared. Set both to use channel bindings, or neither.")
	case !m.Signed:
		return differs("The app named its connection to your program (channel bindings) in a request that is not signed, so anybody may have written it. Let the app sign its requests.")
	case len(seen) == 0:
		return differs("The app named its connection to your program (channel bindings), and your program did not, so the two cannot be compared. Set both to use channel bindings, or neither.")
	case slices.ContainsFunc(named, func(b ChannelBinding) bool { return !slices.ContainsFunc(seen, b.equal) }):
		return differs("The app and your program do not see the same connection between them (channel bindings). Somebody may be in between: check the app's address and certificate, and any proxy on the way.").
			because(bindingTypes(named), bindingTypes(seen))
	}
	a.Channel = named
	return nil
}

func differs(text string) *Problem { return requester(ReasonChannel, StatusRequestDenied, text) }

// bindingTypes lists the types alone: that is what tells a type that is missing from a channel that is another.
func bindingTypes(list []ChannelBinding) string {
	var types []string
	for _, b := range list {
		types = append(types, b.Type)
	}
	return strings.Join(types, " ")
}

// appendBindings writes the bindings, with more attributes if there are any.
func appendBindings(doc []byte, list []ChannelBinding, attributes string) []byte {
	for _, b := range list {
		doc = append(doc, `<cb:ChannelBindings xmlns:cb="`+nsChannel+`"`...)
		doc = append(append(appendAttr(doc, "Type", b.Type), attributes...), '>')
		doc = append(base64.StdEncoding.AppendEncode(doc, b.Octets), `</cb:ChannelBindings>`...)
	}
	return doc
}
