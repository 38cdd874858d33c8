package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// DeviceProtocol is the name under which flow.Engine finds Devices.
const DeviceProtocol = "device"

// Devices is the flow.Protocol of people who confirm a device: the answer goes to the device, which asks for it.
type Devices struct{ *Handlers }

// confirming is what a waiting flow keeps of a device.
type confirming struct {
	Device string   `json:"device"` // key of grants.Devices
	Scopes []string `json:"scopes"`
	Texts  []string `json:"texts"`
}

func encode(c *confirming) ([]byte, error) { return json.Marshal(c) }

func decode(payload []byte) (*confirming, error) {
	c := new(confirming)
	return c, json.Unmarshal(payload, c)
}

// Asks names what the person confirms, whatever the app's policy says of consent: a device may be anybody's.
func (d *Devices) Asks(facts *flow.Facts) []string {
	c, err := decode(facts.Request.Payload)
	if err != nil {
		return nil
	}
	return d.asks(facts.User, c.Scopes, c.Texts)
}

// Issue lets the device have tokens for a person whom flow let in. They belong to no session of this browser.
func (d *Devices) Issue(ctx context.Context, pass *flow.Pass) (flow.Answer, error) {
	c, err := decode(pass.Request.Payload)
	if err != nil {
		return flow.Answer{}, err
	}
	var waiting grants.Device
	err = d.Store.View(ctx, func(tx store.Tx) (err error) {
		waiting, _, err = grants.Devices.Get(tx, c.Device)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return flow.Answer{}, err
	}
	allowed := within(waiting.Scopes, pass.App.AllowedScopes())
	scopes := d.lent(pass.User, allowed)
	switch {
	case err != nil || !waiting.Waits(pass.Now):
		return flow.Answer{}, &flow.CannotIssue{Reason: flow.Reason{Type: "device_over", Text: "This code has expired or was used already. Start again on the device."}}
	case len(scopes) == 0 && len(allowed) > 0:
		return flow.Answer{}, &flow.CannotIssue{Reason: cannotLend().reason()}
	case len(scopes) == 0 || pass.App.Definition.OAuth == nil:
		return flow.Answer{}, &flow.CannotIssue{Reason: flow.Reason{Type: "scope_not_allowed", Text: "The app may have nothing of what it asks for."}}
	}
	g := signedFor(pass, sp.GrantDevice, nil)
	g.Scopes, g.Resources = scopes, waiting.Resources
	pass.Reached = nil
	facts := pass.Event.Facts
	facts["scope"], facts["grant"], facts["device_address"] = strings.Join(scopes, " "), g.ID, waiting.Address
	return flow.Answer{
		Commit: d.settle(c.Device, pass, func(tx store.Tx, one *grants.Device) (err error) {
			g.Epoch, err = grants.EpochOf(tx, g.User, g.App)
			one.Grant = &g
			return err
		}),
		Write: leadTo("connected"),
	}, nil
}

// Refuse tells the person why not, and the device when it asks next.
func (d *Devices) Refuse(_ context.Context, pass *flow.Pass, reason flow.Reason) (flow.Answer, error) {
	c, err := decode(pass.Request.Payload)
	if err != nil {
		return flow.Answer{}, err
	}
	answer := flow.Page(pass, reason)
	if reason.Type == flow.ReasonCancelled {
		answer.Write = leadTo("cancelled")
	}
	if reason.Type != "device_over" {
		answer.Commit = d.settle(c.Device, pass, func(_ store.Tx, one *grants.Device) error {
			one.Denied = reason.Type
			return nil
		})
	}
	return answer, nil
}

// settle ends a device's wait, once. When it is over already, the person is told so on the next try.
func (d *Devices) settle(key string, pass *flow.Pass, how func(store.Tx, *grants.Device) error) func(store.Tx) error {
	return func(tx store.Tx) error {
		one, _, err := grants.Devices.Get(tx, key)
		if errors.Is(err, store.ErrNotFound) || err == nil && !one.Waits(pass.Now) {
			if pass.Event.Reason != "" {
				return nil
			}
			return flow.ErrChanged
		}
		if err != nil {
			return err
		}
		if err := how(tx, &one); err != nil {
			return err
		}
		return grants.Devices.Put(tx, &one)
	}
}

func leadTo(end string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		web.SeeOther(w, verifyPath+"/"+end)
		return nil
	}
}

// waited answers a device that asks whether somebody has confirmed it (RFC 8628, 3.4 and 3.5), once: a second time ends all that
// came of the first.
func (h *Handlers) waited(tx store.Tx, c *call) (*issue, *Problem, error) {
	if c.form.Get("device_code") == "" {
		return nil, refuse(codeInvalidRequest, "no_device_code", "The request holds no device_code."), nil
	}
	d, _, err := grants.Devices.Get(tx, grants.Hash(c.form.Get("device_code")))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, badGrant("unknown_device_code", "The device code is none of ours, or long expired."), nil
	case err != nil:
		return nil, nil, err
	case d.App != c.app.ID:
		return nil, badGrant("device_code_of_other_client", "The device code was not given to this client."), nil
	case !d.Redeemed.IsZero():
		problem := badGrant("device_code_replayed", "The device code was used before, so everything that it gave is revoked. Start again.")
		return nil, problem, endGrant(tx, d.Grant.ID, "replayed")
	case d.Denied != "":
		return nil, refuse(codeAccessDenied, "device_denied", "The person did not let this device in.").because("", d.Denied), nil
	case !c.now.Before(d.Expires):
		return nil, refuse("expired_token", "device_code_expired", "Nobody confirmed the device in time. Start again."), nil
	case d.Grant == nil:
		problem := poll(&d, c)
		return nil, problem, grants.Devices.Put(tx, &d)
	}
	return h.redeemDevice(tx, c, &d)
}

// poll tells a device to wait on, and longer where it does not keep to its interval. Neither is worth an audit entry.
func poll(d *grants.Device, c *call) *Problem {
	problem := refuse("authorization_pending", "device_waits", "Nobody has confirmed the device yet.")
	if c.now.Before(d.Polled.Add(d.Interval)) {
		d.Interval += grants.DeviceInterval
		problem = refuse("slow_down", "device_polls_too_fast", "The device asks too often: wait five seconds more between two requests.")
	}
	d.Polled, problem.Quiet = c.now, true
	return problem
}

func (h *Handlers) redeemDevice(tx store.Tx, c *call, d *grants.Device) (*issue, *Problem, error) {
	c.facts["grant"] = d.Grant.ID
	facts, problem, err := h.reconsider(tx, d.Grant, c, nil)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	i := &issue{facts: facts, grant: d.Grant}
	if i.scopes = within(d.Grant.Scopes, facts.App.AllowedScopes()); len(i.scopes) == 0 {
		return nil, refuse(codeInvalidScope, "scope_not_allowed", "The app may have nothing any more of what the person agreed to."), nil
	}
	if i.resources, problem = h.aimed(facts.App, c.form["resource"], d.Grant.Resources); problem != nil {
		return nil, problem, nil
	}
	d.Redeemed = c.now
	if err := h.open(tx, c, i); err != nil {
		return nil, nil, err
	}
	return i, nil, grants.Devices.Put(tx, d)
}
