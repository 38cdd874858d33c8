package metadata

import (
	"strings"
	"unicode/utf8"

	"gatehouse/sp"
)

// Longest texts that are kept, in characters.
const (
	maxName        = 200
	maxDescription = 1000
)

// attributeServices reads what the app asks for (saml-metadata-2.0-os, 2.4.4.1).
func (r *reader) attributeServices(role *node) error {
	for _, n := range role.all(nsMetadata, "AttributeConsumingService") {
		index, err := n.number("index")
		if err != nil {
			return err
		}
		service := sp.AttributeService{}
		if index != nil {
			service.Index = *index
		}
		if service.IsDefault, err = n.boolean("isDefault"); err != nil {
			return err
		}
		if service.Name, err = localized(n.all(nsMetadata, "ServiceName"), maxName); err != nil {
			return err
		}
		for _, a := range n.all(nsMetadata, "RequestedAttribute") {
			requested, err := requestedAttribute(a)
			if err != nil {
				return err
			}
			service.Requested = append(service.Requested, requested)
		}
		r.out.AttributeServices = append(r.out.AttributeServices, service)
	}
	return nil
}

func requestedAttribute(n *node) (sp.RequestedAttribute, error) {
	a := sp.RequestedAttribute{Name: n.attr("Name"), NameFormat: n.attr("NameFormat"), FriendlyName: n.attr("FriendlyName")}
	if a.Name == "" || len(a.Name) > maxURI || len(a.NameFormat) > maxURI || len(a.FriendlyName) > maxURI {
		return a, n.fail("RequestedAttribute needs a Name, and no more than 1,024 bytes in each of its attributes; correct it")
	}
	required, err := n.boolean("isRequired")
	if err != nil {
		return a, err
	}
	a.Required = required != nil && *required
	for _, v := range n.all(nsSAML, "AttributeValue") {
		if len(v.children) == 0 { // structured values cannot be matched
			a.Values = append(a.Values, strings.TrimSpace(v.text.String()))
		}
	}
	return a, nil
}

// userInterface reads names and pictures (sstc-saml-metadata-ui-v1.0). They are shown, so their addresses are checked;
// a bad one is left out.
func (r *reader) userInterface(role *node) (err error) {
	ui := role.one(nsMetadata, "Extensions").one(nsMDUI, "UIInfo")
	if r.out.DisplayName, err = localized(ui.all(nsMDUI, "DisplayName"), maxName); err != nil {
		return err
	}
	for _, s := range r.out.AttributeServices {
		if r.out.DisplayName == "" {
			r.out.DisplayName = s.Name
		}
	}
	if r.out.Description, err = localized(ui.all(nsMDUI, "Description"), maxDescription); err != nil {
		return err
	}
	r.out.Names = languages(ui.all(nsMDUI, "DisplayName"), func(text string) string { return oneLine(text, maxName) })
	r.out.InformationURLs = languages(ui.all(nsMDUI, "InformationURL"), addressOnly)
	r.out.PrivacyURLs = languages(ui.all(nsMDUI, "PrivacyStatementURL"), addressOnly)
	if r.out.InformationURL, err = r.shownAddress(ui.all(nsMDUI, "InformationURL"), "information", sp.CheckAddress); err != nil {
		return err
	}
	if r.out.PrivacyURL, err = r.shownAddress(ui.all(nsMDUI, "PrivacyStatementURL"), "privacy", sp.CheckAddress); err != nil {
		return err
	}
	r.out.LogoURL, err = r.shownAddress(ui.all(nsMDUI, "Logo"), "logo", sp.CheckPicture)
	return err
}

// maxLanguages bounds how many languages are kept of one text.
const maxLanguages = 50

// languages are the texts by language, where there is more than one; what use makes empty is left out.
func languages(nodes []*node, use func(string) string) []sp.Localized {
	var list []sp.Localized
	for _, n := range nodes[:min(len(nodes), maxLanguages)] {
		lang := n.language()
		if text := use(strings.TrimSpace(n.text.String())); lang != "" && len(lang) <= 35 && text != "" && len(n.children) == 0 {
			list = append(list, sp.Localized{Lang: lang, Text: text})
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}

// addressOnly drops what is no address that may be linked to.
func addressOnly(text string) string {
	if sp.CheckAddress(text) != nil {
		return ""
	}
	return text
}

func (r *reader) shownAddress(nodes []*node, what string, check func(string) error) (string, error) {
	n := preferred(nodes)
	if n == nil {
		return "", nil
	}
	address, err := n.value()
	if err != nil {
		return "", err
	}
	if err := check(address); err != nil {
		r.warn(Info, what+"_url_ignored", "The %s address is left out: it %v.", what, err)
		return "", nil
	}
	return address, nil
}

// localized is the text in English, else the first, in one line.
func localized(nodes []*node, limit int) (string, error) {
	n := preferred(nodes)
	if n == nil {
		return "", nil
	}
	text, err := n.value()
	return oneLine(text, limit), err
}

// oneLine is a text on one line, without what nobody sees.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if sp.Unseen(r) {
			return -1
		}
		return r
	}, text)
	return cut(strings.Join(strings.Fields(text), " "), limit)
}

func preferred(nodes []*node) *node {
	for _, n := range nodes {
		if lang := n.language(); lang == "en" || strings.HasPrefix(lang, "en-") {
			return n
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	return nodes[0]
}

func cut(s string, limit int) string {
	if utf8.RuneCountInString(s) <= limit {
		return s
	}
	return string([]rune(s)[:limit-1]) + "…"
}

// contact keeps one e-mail address: support before technical before any other; the role's before the entity's.
func (r *reader) contact(entity, role *node) error {
	people := append(role.all(nsMetadata, "ContactPerson"), entity.all(nsMetadata, "ContactPerson")...)
	best := -1
	for _, person := range people {
		rank := map[string]int{"support": 2, "technical": 1}[person.attr("contactType")]
		mail := person.one(nsMetadata, "EmailAddress")
		if mail == nil || rank <= best {
			continue
		}
		text, err := mail.value()
		if err != nil {
			return err
		}
		if text = strings.TrimPrefix(text, "mailto:"); text != "" {
			r.out.Contact, best = cut(strings.Join(strings.Fields(text), " "), maxName), rank
		}
	}
	return nil
}

// Bounds of entity attributes: what is beyond them is left out, because they only ever add.
const (
	maxTags      = 50
	maxTagValues = 50
)

// tags reads the entity attributes (sstc-metadata-attr-v1.0). Signed assertions in them are not looked at.
func (r *reader) tags(entity *node) {
	for _, n := range entity.one(nsMetadata, "Extensions").one(nsMDAttr, "EntityAttributes").all(nsSAML, "Attribute") {
		tag := sp.EntityAttribute{Name: n.attr("Name")}
		for _, v := range n.all(nsSAML, "AttributeValue") {
			value := strings.TrimSpace(v.text.String())
			if value != "" && len(value) <= maxURI && len(v.children) == 0 && len(tag.Values) < maxTagValues {
				tag.Values = append(tag.Values, value)
			}
		}
		if tag.Name != "" && len(tag.Name) <= maxURI && len(tag.Values) > 0 && len(r.out.EntityAttributes) < maxTags {
			r.out.EntityAttributes = append(r.out.EntityAttributes, tag)
		}
	}
}
