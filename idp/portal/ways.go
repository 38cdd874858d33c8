package portal

import (
	"net/http"
	"net/url"

	"gatehouse/idp/directory"
	"gatehouse/store"
	"gatehouse/templates"
)

// waysToSignIn is the section of the account page about second factors; package signin serves its links.
func (h *Handlers) waysToSignIn(tx store.Tx, user string) (*templates.FactorSection, error) {
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return nil, err
	}
	factors, err := directory.FactorsOf(tx, user)
	if err != nil {
		return nil, err
	}
	section := &templates.FactorSection{}
	for i := range factors {
		section.Factors = append(section.Factors, factorRow(&factors[i]))
	}
	switch {
	case len(factors) == 0 && !settings.EnrolsThemselves():
		section.Note = "In your organisation an administrator gives people their first second factor."
	case len(factors) < directory.MaxFactors:
		section.AddHref = "/login/enrol?next=/account"
	}
	if len(factors) > 0 && !directory.HasRecovery(factors) {
		section.RenewHref = "/account/factors/recovery"
	}
	if !h.Passkeys && section.Note == "" {
		section.Note = "Passkeys and security keys do not work here, because this server is opened by an IP address and not by a name."
	}
	return section, nil
}

// showsFactor tells whether the person may change the password: who has a second factor must have just shown it, so that a stolen
// password cannot be made the thief's own. False: the browser was sent to show it.
func (h *Handlers) showsFactor(w http.ResponseWriter, r *http.Request) (bool, error) {
	visitor, err := h.Engine.Visitor(r)
	if err != nil || !visitor.Second {
		return err == nil, err
	}
	visitor, err = h.Engine.Fresh(w, r, "/account")
	return visitor != nil, err
}

func factorRow(f *directory.Factor) templates.FactorRow {
	row := templates.FactorRow{ID: f.ID, Kind: string(f.Kind), Name: f.Name, Created: f.Created, Used: f.LastUsed, Left: len(f.Codes)}
	base := "/account/factors/" + url.PathEscape(f.ID)
	row.RemoveHref = base + "/remove"
	if f.Kind == directory.FactorRecovery {
		row.RenewHref = "/account/factors/recovery"
	} else {
		row.RenameAction = base + "/rename"
	}
	return row
}
