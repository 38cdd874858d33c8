package oauth

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// deviceAnswer is RFC 8628, 3.2.
type deviceAnswer struct {
	DeviceCode  string `json:"device_code"`
	UserCode    string `json:"user_code"`
	Verify      string `json:"verification_uri"`
	VerifyWhole string `json:"verification_uri_complete"`
	Expires     int    `json:"expires_in"`
	Interval    int    `json:"interval"`
}

// device gives a client without a browser the two codes of RFC 8628: one for itself to wait with, one for a person to type.
func (h *Handlers) device(w http.ResponseWriter, r *http.Request) error {
	values, app, problem, err := h.authenticate(r)
	if problem == nil && err == nil {
		_, problem, err = h.method(r.Context(), app, sp.GrantDevice)
	}
	wanted := &asked{}
	if problem == nil && err == nil {
		problem = h.readTargets(app, values, wanted, nil)
	}
	if problem == nil && err == nil {
		problem, err = h.readScopes(r.Context(), app, values, wanted)
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "device", app, problem)
	}
	code, userCode := deviceCodePrefix+sp.RandomSecret(), grants.NewUserCode()
	now, address := h.Now(), web.Of(r).AddressText()
	waits := &grants.Device{
		Hash: grants.Hash(code), Code: grants.Hash(userCode), App: app.ID, Scopes: wanted.Scopes, Resources: wanted.Resources, Texts: wanted.Texts, Address: address,
		Network: audit.Network(address), Asked: now, Expires: now.Add(grants.DeviceLifetime), Interval: grants.DeviceInterval,
	}
	problem, err = h.left(app.Definition.OAuth, "devices", devicesPerMinute, func() (*Problem, error) { return h.keepDevice(r, waits) })
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "device", app, problem)
	}
	web.WriteJSON(w, http.StatusOK, deviceAnswer{
		DeviceCode: code, UserCode: userCode, Verify: h.BaseURL + verifyPath, VerifyWhole: h.BaseURL + verifyPath + "?" + url.Values{userCodeField: {userCode}}.Encode(),
		Expires: int(grants.DeviceLifetime.Seconds()), Interval: int(grants.DeviceInterval.Seconds()),
	})
	return nil
}

const (
	deviceCodePrefix = "gdc_"
	verifyPath       = "/device" // where people type the user code
	userCodeField    = "user_code"
)

// keepDevice stores a device that waits, unless too many of its network do. Two user codes that are alike are as good as never made.
func (h *Handlers) keepDevice(r *http.Request, d *grants.Device) (problem *Problem, err error) {
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		n, err := grants.Devices.Count(tx, store.Page{Index: "network", Value: d.Network}, grants.MaxDevicesPerNetwork)
		if err != nil {
			return err
		}
		if problem = nil; n >= grants.MaxDevicesPerNetwork {
			problem = tryLater("too_many_devices", "Too many devices of this network wait to be confirmed. Try again in ten minutes.", grants.DeviceLifetime)
			return nil
		}
		return grants.Devices.Put(tx, d)
	})
	return problem, err
}

// Bounds of wrong user codes in a minute, beside those of throttle for one network.
const wrongCodesPerSession = 5

// Confirm takes a person who typed a user code to the road, which ends in the consent page of the device. What is wrong with the
// code itself is a *web.Error with the field user_code.
func (d *Devices) Confirm(w http.ResponseWriter, r *http.Request, typed string) error {
	visitor, err := d.Engine.Visitor(r)
	if err != nil {
		return err
	}
	network, browser := "network "+audit.Network(web.Of(r).AddressText()), "browser "+d.Engine.Browser(w, r)
	if visitor.Session != nil {
		browser = "session " + visitor.Session.Handle
	}
	if d.guesses.full(network, d.Now()) || d.guesses.over(browser, d.Now(), wrongCodesPerSession) {
		return &web.Error{Status: http.StatusTooManyRequests, Reason: "too_many_codes", Field: userCodeField, RetryAfter: time.Minute, Text: "Too many wrong codes. Wait a minute, then try again."}
	}
	code := grants.NormalUserCode(typed)
	var waiting grants.Device
	err = d.Store.View(r.Context(), func(tx store.Tx) (err error) {
		waiting, _, err = grants.Devices.By(tx, "code", grants.Hash(code))
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err != nil || !waiting.Waits(d.Now()) {
		d.guesses.count(network, d.Now())
		d.guesses.count(browser, d.Now())
		return d.wrongCode(r, visitor)
	}
	payload, err := encode(&confirming{Device: waiting.Hash, Scopes: waiting.Scopes, Texts: waiting.Texts})
	if err != nil {
		return err
	}
	return d.Engine.Begin(w, r, flow.Request{
		Protocol: DeviceProtocol, App: waiting.App, Start: "OauthDevice", Payload: payload,
		Device: &flow.Device{Code: code, Address: waiting.Address},
	})
}

// wrongCode notes a code that no device waits with, within the bounds for strangers; what was typed is nobody's business.
func (d *Devices) wrongCode(r *http.Request, visitor *flow.Facts) error {
	event := audit.Event{Kind: "device", Outcome: audit.Refused, Reason: "unknown_user_code", Address: web.Of(r).AddressText()}
	if visitor.User != nil {
		event.User, event.Actor = visitor.User.ID, visitor.User.ID
	}
	code, err := d.Engine.Refused(r.Context(), event)
	if err != nil {
		return err
	}
	return &web.Error{
		Status: http.StatusUnprocessableEntity, Reason: event.Reason, Field: userCodeField, Code: code,
		Text: "No device waits with this code. Check it, or start again on the device: a code is good for ten minutes.",
	}
}
