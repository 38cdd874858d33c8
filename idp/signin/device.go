package signin

import (
	"errors"
	"net/http"
	"strconv"

	"gatehouse/idp/web"
	"gatehouse/templates"
)

// askDevice shows the form for the code of a device. One that the device's link brings along is filled in and nothing more: who
// opened the link may have been talked into it (RFC 8628, 3.3.1 and 5.4).
func (h *Handlers) askDevice(w http.ResponseWriter, r *http.Request) error {
	h.Engine.Browser(w, r) // by which wrong codes are counted
	return h.devicePage(w, r, http.StatusOK, templates.DevicePage{Code: cutCode(r.URL.Query().Get("user_code"))})
}

// takeDevice goes on with the device of a code, or shows the form again with what to do.
func (h *Handlers) takeDevice(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	typed := cutCode(r.PostForm.Get("user_code"))
	err := h.Device(w, r, typed)
	var wrong *web.Error
	if !errors.As(err, &wrong) || wrong.Field != "user_code" {
		return err
	}
	if wrong.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wrong.RetryAfter.Seconds())))
	}
	return h.devicePage(w, r, wrong.Status, templates.DevicePage{Code: typed, Error: wrong.Text})
}

func (h *Handlers) devicePage(w http.ResponseWriter, r *http.Request, status int, page templates.DevicePage) error {
	page.Shell, page.Action = h.Kit.Shell(r, "Connect a device"), "/device"
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.Device(b, page) })
}

// deviceEnd says how it ended; the device finds out by itself.
func (h *Handlers) deviceEnd(w http.ResponseWriter, r *http.Request) error {
	page := templates.MessagePage{Shell: h.Kit.Shell(r, "Your device is connected"), Tone: "ok", Text: "It goes on by itself in a few seconds. You can close this window.", Links: []templates.Link{{Label: "See it in your account", Href: "/account#apps"}}}
	switch r.PathValue("end") {
	case "connected":
	case "cancelled":
		page = templates.MessagePage{Shell: h.Kit.Shell(r, "Nothing was connected"), Text: "The device gets nothing. You can close this window.", Links: []templates.Link{{Label: "Type another code", Href: "/device"}}}
	default:
		return &web.Error{Status: http.StatusNotFound, Reason: "not_found", Text: "There is no such page. Type the code that your device shows at the page for devices."}
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Message(b, page) })
}

// cutCode bounds what is shown again of what somebody typed.
func cutCode(typed string) string { return typed[:min(len(typed), 40)] }
