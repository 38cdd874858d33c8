package signin

import (
	"errors"
	"net/http"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

const accountPath = "/account"

// managed is a factor of the person's own that they may change now; nil facts mean that the browser was sent elsewhere.
func (h *Handlers) managed(w http.ResponseWriter, r *http.Request, back string) (*flow.Facts, directory.Factor, error) {
	visitor, err := h.Engine.Fresh(w, r, back)
	if visitor == nil {
		return nil, directory.Factor{}, err
	}
	var factor directory.Factor
	err = h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		factor, err = directory.FactorOf(tx, visitor.User.ID, r.PathValue("factor"))
		return err
	})
	return visitor, factor, absent(err)
}

// absent words that there is no such factor.
func absent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return web.NotFound("This way to sign in is not among yours, or it is removed already. Open your account to see which there are.")
	}
	return err
}

// askRemove asks before a factor is removed: GET /account/factors/{factor}/remove.
func (h *Handlers) askRemove(w http.ResponseWriter, r *http.Request) error {
	path := factorPath(r.PathValue("factor"), "remove")
	visitor, factor, err := h.managed(w, r, path)
	if visitor == nil || err != nil {
		return err
	}
	factors, err := h.factorsOf(r, visitor.User.ID)
	if err != nil {
		return err
	}
	others := 0
	for i := range factors {
		if factors[i].Second() && factors[i].ID != factor.ID {
			others++
		}
	}
	page := templates.ConfirmPage{
		Shell: h.Kit.Shell(r, "Remove a way to sign in"), Question: "Remove " + factor.Name + "?", Action: path, Button: "Remove it", Danger: true,
		Detail: "It does not sign you in any more. You can add it again later.", Cancel: templates.Link{Label: "Keep it", Href: accountPath},
	}
	if factor.Second() && others == 0 {
		page.Detail = "It is your last second factor, and your recovery codes go with it. Apps that need one will ask you to set up another."
		if !visitor.Enrols {
			page.Detail = "It is your last second factor, and your recovery codes go with it. Only an administrator can give you another."
		}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Confirm(b, page) })
}

// remove removes a factor: POST /account/factors/{factor}/remove.
func (h *Handlers) remove(w http.ResponseWriter, r *http.Request) error {
	visitor, factor, err := h.managed(w, r, factorPath(r.PathValue("factor"), "remove"))
	if visitor == nil || err != nil {
		return err
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		if _, err := directory.RemoveFactor(tx, visitor.User.ID, factor.ID); err != nil {
			return err
		}
		if err := h.Desk.Notify(tx, visitor.User, recovery.FactorRemoved(factor.Name, browserOf(r), h.Kit.Now())); err != nil {
			return err
		}
		return h.noteChange(tx, r, visitor, "factor.remove", map[string]string{"kind": string(factor.Kind), "factor": factor.ID, "name": factor.Name})
	})
	if err == nil {
		web.SeeOther(w, accountPath)
	}
	return absent(err)
}

// rename gives a factor another name: POST /account/factors/{factor}/rename.
func (h *Handlers) rename(w http.ResponseWriter, r *http.Request) error {
	visitor, factor, err := h.managed(w, r, accountPath)
	if visitor == nil || err != nil {
		return err
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		renamed, err := directory.RenameFactor(tx, visitor.User.ID, factor.ID, r.PostFormValue("name"))
		if err != nil {
			return err
		}
		return h.noteChange(tx, r, visitor, "factor.rename", map[string]string{"factor": factor.ID, "before": factor.Name, "name": renamed.Name})
	})
	var input *directory.InputError
	switch {
	case errors.As(err, &input):
		return &web.Error{Status: http.StatusUnprocessableEntity, Reason: "bad_value", Heading: "It keeps its name", Text: input.Text + ".", Links: []templates.Link{{Label: "Back to your account", Href: accountPath}}}
	case err != nil:
		return absent(err)
	}
	web.SeeOther(w, accountPath)
	return nil
}

const recoveryPath = "/account/factors/recovery"

// askRecovery asks before recovery codes are made: GET /account/factors/recovery.
func (h *Handlers) askRecovery(w http.ResponseWriter, r *http.Request) error {
	visitor, err := h.Engine.Fresh(w, r, recoveryPath)
	if visitor == nil {
		return err
	}
	page := templates.ConfirmPage{
		Shell: h.Kit.Shell(r, "Recovery codes"), Question: "Make new recovery codes?", Action: recoveryPath, Button: "Make ten codes",
		Detail: "You see them once. Codes that you have from before stop working.", Cancel: templates.Link{Label: "Back to your account", Href: accountPath},
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Confirm(b, page) })
}

// recovery makes fresh recovery codes: POST /account/factors/recovery.
func (h *Handlers) recovery(w http.ResponseWriter, r *http.Request) error {
	visitor, err := h.Engine.Fresh(w, r, recoveryPath)
	if visitor == nil {
		return err
	}
	if !visitor.Second {
		return web.BadRequest("no_second_factor", "Recovery codes stand in for a second factor, and you have none yet. Add one first.")
	}
	var codes []string
	err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
		if codes, err = h.Factors.NewRecoveryCodes(tx, visitor.User.ID); err != nil {
			return err
		}
		if err := h.Desk.Notify(tx, visitor.User, recovery.CodesMade(browserOf(r), h.Kit.Now())); err != nil {
			return err
		}
		return h.noteChange(tx, r, visitor, "factor.recovery", map[string]string{})
	})
	var input *directory.InputError
	if errors.As(err, &input) {
		return web.BadRequest("too_many_factors", input.Text+".")
	}
	if err != nil {
		return err
	}
	return h.showCodes(w, r, visitor, codes, "", accountPath)
}
